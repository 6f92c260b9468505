//! What the doors of other dialects promise across a crash.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Place, Server, post, read_until, request};

const BATCHES: &str = "/anthropic/v1/messages/batches";
const REQUESTS: usize = 60;

/// The names of the requests of a batch that have ended.
fn ended(server: &Server, job: &str) -> BTreeSet<String> {
    let job = server.job(job);
    let steps = job["steps"].as_array().expect("a job has steps").iter();
    steps.map(|step| step["name"].as_str().expect("a step has a name").replace("request:", "")).collect()
}

#[test]
fn a_crash_repeats_no_message_of_a_batch_that_has_ended() {
    let place = Place::new();
    place.file("sim.json", r#"{"behaviour": {"call_ms": {"constant": 300}}}"#);
    let simulator = Server::simulator(&place, &["--config", "sim.json"]);
    let upstream = format!(
        "[upstream.claude]\nprotocol = \"anthropic\"\nbase_url = \"{}/anthropic\"\nidempotency_header = \"idempotency-key\"\n",
        simulator.url()
    );
    let server = Server::configured(&place, &upstream);
    let ask = json!({ "model": "claude", "max_tokens": 8, "messages": [{ "role": "user", "content": "Hi" }] });
    let requests: Vec<Value> =
        (0..REQUESTS).map(|number| json!({ "custom_id": format!("r{number}"), "params": ask })).collect();
    let batch = post(server.address, BATCHES, &json!({ "requests": requests }).to_string()).json();
    let id = batch["id"].as_str().expect("a batch has an id").to_owned();
    let job = id.replace("msgbatch_", "job_");
    let before = loop {
        let ended = ended(&server, &job);
        if ended.len() >= 10 {
            break ended;
        }
    };
    server.kill();
    let server = Server::configured(&place, &upstream);
    assert_eq!(server.ended(&job)["state"], "completed");
    let batch = server.get(&format!("{BATCHES}/{id}")).json();
    assert_eq!(batch["request_counts"]["succeeded"], REQUESTS, "{batch}");
    let ledger = simulator.get("/sim/ledger").json();
    let calls = |custom_id: &str| ledger["keys"][format!("{job}-{custom_id}")]["executions"].as_u64().unwrap_or(0);
    for custom_id in &before {
        assert_eq!(calls(custom_id), 1, "{custom_id} was recorded before the crash: {ledger}");
    }
    let all: u64 = (0..REQUESTS).map(|number| calls(&format!("r{number}"))).sum();
    println!("{} of {REQUESTS} messages had ended before the crash; {all} calls in all", before.len());
    assert!(all <= REQUESTS as u64 + 16, "only what was under way is called again: {all}");
}

/// A form with a file, as clients send it.
fn upload(server: &Server, content: &str) -> Value {
    let part =
        |head: &str, content: &str| format!("--X\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n");
    let form = [
        part("name=\"purpose\"", "batch"),
        part("name=\"file\"; filename=\"calls.jsonl\"", content),
        "--X--\r\n".into(),
    ];
    let headers = [("Content-Type", "multipart/form-data; boundary=X")];
    request(server.address, "POST", "/openai/v1/files", &headers, &form.concat()).json()
}

#[test]
fn a_crash_repeats_no_call_of_a_file_that_has_ended() {
    const BATCHES: &str = "/openai/v1/batches";
    let place = Place::new();
    place.file("sim.json", r#"{"behaviour": {"call_ms": {"constant": 300}}}"#);
    let simulator = Server::simulator(&place, &["--config", "sim.json"]);
    let upstream = format!("[upstream.sim]\nprotocol = \"openai\"\nbase_url = \"{}/openai/v1\"\n", simulator.url());
    let server = Server::configured(&place, &upstream);
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "Hi" }] });
    let line = |number: usize| {
        json!({ "custom_id": format!("r{number}"), "method": "POST", "url": "/v1/chat/completions", "body": body })
            .to_string()
    };
    let file = upload(&server, &(0..REQUESTS).map(line).collect::<Vec<_>>().join("\n"));
    let wish = json!({ "input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h" });
    let batch = post(server.address, BATCHES, &wish.to_string()).json();
    let id = batch["id"].as_str().expect("a batch has an id").to_owned();
    let job = id.replace("batch_", "job_");
    let before = loop {
        let counts = server.get(&format!("{BATCHES}/{id}")).json()["request_counts"].clone();
        if let Some(done @ 10..) = counts["completed"].as_u64() {
            break done;
        }
    };
    server.kill();
    let server = Server::configured(&place, &upstream);
    assert_eq!(server.ended(&job)["state"], "completed");
    let batch = server.get(&format!("{BATCHES}/{id}")).json();
    assert_eq!(batch["request_counts"], json!({ "total": REQUESTS, "completed": REQUESTS, "failed": 0 }));
    let output = server.get(&format!("/openai/v1/files/{}/content", batch["output_file_id"].as_str().expect("a file")));
    let ids: Vec<String> = output
        .body
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["custom_id"].to_string())
        .collect();
    assert_eq!(ids, (0..REQUESTS).map(|number| format!("\"r{number}\"")).collect::<Vec<_>>());
    let ledger = simulator.get("/sim/ledger").json();
    let executions = ledger["total"]["executions"].as_u64().expect("a number");
    println!("{before} of {REQUESTS} calls had ended before the crash; {executions} calls in all");
    assert!(executions <= REQUESTS as u64 + 16, "only what was under way is called again: {executions}");
}

/// The `data` of a stream's events, as far as they came.
fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

#[test]
fn a_response_goes_on_after_a_crash_and_its_stream_where_it_broke_off() {
    const RESPONSES: &str = "/openai/v1/responses";
    let place = Place::new();
    let behaviour = r#"{"behaviour": {"per_token_ms": {"constant": 50}, "output_tokens": {"constant": 40}}}"#;
    place.file("sim.json", behaviour);
    let simulator = Server::simulator(&place, &["--config", "sim.json"]);
    let upstream = format!("[upstream.sim]\nprotocol = \"openai\"\nbase_url = \"{}/openai/v1\"\n", simulator.url());
    let server = Server::configured(&place, &upstream);
    let wish = json!({ "model": "m", "input": "Tell me.", "background": true }).to_string();
    let response = post(server.address, RESPONSES, &wish).json();
    let path = format!("{RESPONSES}/{}", response["id"].as_str().expect("an id"));
    let stream = format!("{path}?stream=true");
    // Until some text was shown.
    read_until(server.address, &stream, "event: response.output_text.delta");
    server.kill();
    let server = Server::configured(&place, &upstream);
    let job = response["id"].as_str().expect("an id").replace("resp_", "job_");
    assert_eq!(server.ended(&job)["state"], "completed");
    let all = events(&server.get(&stream).body);
    for (number, event) in all.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }
    let created = all.iter().filter(|event| event["type"] == "response.created").count();
    assert_eq!((created, &all.last().expect("events")["type"]), (1, &json!("response.completed")));
    let rest = events(&server.get(&format!("{stream}&starting_after=4")).body);
    assert_eq!(rest, all[5..]);
    let response = server.get(&path).json();
    let text = response["output"][0]["content"][0]["text"].as_str().expect("text");
    let place = all.iter().rev().find_map(|event| event["output_index"].as_u64()).expect("items");
    let of_last = all.iter().filter(|event| event["output_index"] == place);
    let deltas: String = of_last.filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!(
        (place, deltas.as_str()),
        (1, text),
        "what was shown before the crash is closed, and the text starts anew"
    );
}

#[test]
fn a_file_whose_time_has_passed_is_removed_from_the_disk() {
    let place = Place::new();
    let server = Server::start(&place, &[]);
    let file = upload(&server, "{}");
    let directory = place.data().join("uploads/default").join(file["id"].as_str().expect("a file has an id"));
    server.stop();
    let about = std::fs::read_to_string(directory.join("about.json")).expect("it is kept");
    let mut about: Value = serde_json::from_str(&about).expect("JSON");
    about["expires_at"] = json!("2026-01-01T00:00:00.000Z");
    std::fs::write(directory.join("about.json"), about.to_string()).expect("it can be written");
    let server = Server::start(&place, &[]);
    while directory.exists() {
        // Until the server has looked for such files.
        assert_eq!(server.get("/openai/v1/files").json()["data"], json!([]));
    }
}

#[test]
fn each_model_of_the_doors_reaches_the_upstream_that_takes_it() {
    let place = Place::new();
    let [first, second] = [(); 2].map(|()| Server::simulator(&place, &[]));
    let upstream = |name: &str, protocol: &str, simulator: &Server, model: &str| {
        let url = simulator.url();
        let version = if protocol == "replicate" { "/v1" } else { "" };
        format!(
            "[upstream.{name}]\nprotocol = \"{protocol}\"\nbase_url = \"{url}/{protocol}{version}\"\nmodels = [\"{model}\"]\n"
        )
    };
    let server = Server::configured(
        &place,
        &[
            upstream("fal-a", "fal", &first, "acme/a"),
            upstream("fal-b", "fal", &second, "acme/b"),
            upstream("rep-a", "replicate", &first, "acme/a"),
            upstream("rep-b", "replicate", &second, "acme/b"),
        ]
        .concat(),
    );
    let executions = || {
        [&first, &second]
            .map(|simulator| simulator.get("/sim/ledger").json()["total"]["executions"].as_u64().expect("a number"))
    };
    let fal = |model: &str| post(server.address, &format!("/fal/run/{model}"), r#"{"prompt": "x"}"#);
    let replicate = |model: &str| {
        let path = format!("/replicate/v1/models/{model}/predictions");
        let headers = [("Content-Type", "application/json"), ("Prefer", "wait=30")];
        request(server.address, "POST", &path, &headers, r#"{"input": {"prompt": "x"}}"#)
    };
    assert_eq!((fal("acme/b").status, executions()), (200, [0, 1]));
    assert_eq!((fal("acme/a").status, executions()), (200, [1, 1]));
    assert_eq!((replicate("acme/b").status, executions()), (201, [1, 2]));
    assert_eq!((replicate("acme/a").status, executions()), (201, [2, 2]));
    for refused in [fal("acme/c"), replicate("acme/c")] {
        let detail = refused.json()["detail"].as_str().expect("a detail").to_owned();
        assert!(refused.status == 422 && detail.contains("takes the model \"acme/c\"; there are: "), "{refused:?}");
        assert!(detail.contains("acme/a (fal-a), acme/b (fal-b)") || detail.contains("acme/a (rep-a), acme/b (rep-b)"));
    }
}

#[test]
fn pictures_of_the_openai_door_are_made_by_an_upstream_of_its_protocol_at_once_or_not() {
    let place = Place::new();
    let [fal, openai] = [(); 2].map(|()| Server::simulator(&place, &[]));
    let (fal_url, openai_url) = (fal.url(), openai.url());
    let server = Server::configured(
        &place,
        &format!(
            "[upstream.any]\nprotocol = \"fal\"\nbase_url = \"{fal_url}/fal\"\n\
             [upstream.one]\nprotocol = \"openai\"\nbase_url = \"{openai_url}/openai/v1\"\nmodels = [\"painter\"]\n"
        ),
    );
    for prefer in ["wait=0", "respond-async, wait=30"] {
        let headers = [("Content-Type", "application/json"), ("Prefer", prefer)];
        let asked = r#"{"model": "painter", "prompt": "rain"}"#;
        let made = request(server.address, "POST", "/openai/v1/images/generations", &headers, asked);
        assert!(made.status == 200 && made.json()["data"].is_array(), "{prefer}: {made:?}");
    }
    let executions = |simulator: &Server| simulator.get("/sim/ledger").json()["total"]["executions"].clone();
    assert_eq!((executions(&fal), executions(&openai)), (json!(0), json!(2)));
}

#[test]
fn a_call_that_is_passed_through_and_made_again_has_one_key() {
    let place = Place::new();
    place.file("sim.json", r#"{"faults": [{"fault": {"kind": "server_error"}, "calls": 1}]}"#);
    let simulator = Server::simulator(&place, &["--config", "sim.json"]);
    let upstream = format!("[upstream.sim]\nprotocol = \"openai\"\nbase_url = \"{}/openai/v1\"\n", simulator.url());
    let server = Server::configured(&place, &upstream);
    let reply = post(server.address, "/openai/v1/chat/completions", r#"{"model": "m", "messages": []}"#);
    assert_eq!(reply.status, 200, "{reply:?}");
    let ledger = simulator.get("/sim/ledger").json();
    let keys = ledger["keys"].as_object().expect("keys");
    assert_eq!((keys.len(), &ledger["total"]["received"]), (1, &json!(2)), "{ledger}");
    assert_eq!(keys.values().next().expect("a key")["received"], 2, "{ledger}");
}

#[test]
fn a_callers_own_key_is_sent_in_place_of_the_servers() {
    let place = Place::new();
    place.file("sim.json", r#"{"api_keys": ["sk-of-a-caller", "sk-of-another"]}"#);
    let simulator = Server::simulator(&place, &["--config", "sim.json"]);
    let upstream = |name: &str, passes: bool| {
        let url = simulator.url();
        format!(
            "[upstream.{name}]\nprotocol = \"openai\"\nbase_url = \"{url}/openai/v1\"\nmodels = [\"{name}\"]\n\
             api_key = \"sk-of-the-server\"\npass_through_key = {passes}\n"
        )
    };
    let server = Server::configured(&place, &[upstream("passing", true), upstream("strict", false)].concat());
    let call = |model: &str, headers: &[(&str, &str)]| {
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        let body = format!(r#"{{"model": "{model}", "messages": []}}"#);
        request(server.address, "POST", "/openai/v1/chat/completions", &headers, &body)
    };
    let own = ("Raincheck-Upstream-Key", "sk-of-a-caller");
    // Of a server that has no keys the key in an SDK's own place is for the upstream, where that is wanted.
    let of_sdk = ("Authorization", "Bearer sk-of-another");
    for (model, headers, status) in [
        ("passing", &[][..], 401),
        ("passing", &[own], 200),
        ("passing", &[of_sdk], 200),
        ("strict", &[of_sdk], 401),
        ("strict", &[own], 400),
        ("passing", &[own, ("Prefer", "respond-async")], 400),
    ] {
        let reply = call(model, headers);
        assert_eq!(reply.status, status, "{model} {headers:?}: {reply:?}");
        assert!(!format!("{reply:?}").contains("sk-of"), "{reply:?}");
    }
    let refused = call("strict", &[own]).json()["error"]["message"].to_string();
    assert!(refused.contains("is called with the server's key only"), "{refused}");
}

/// As each door tells it: a failure of the provider is none of this server's own, and no bare body of the provider's.
#[test]
fn a_provider_that_fails_is_told_in_the_words_of_the_door() {
    let place = Place::new();
    let fault = |kind: &str| format!(r#"{{"model": "{kind}", "fault": {{"kind": "{kind}"}}}}"#);
    let waits = r#"{"model": "wait", "fault": {"kind": "unavailable", "retry_after": "seconds", "wait_ms": 1000}}"#;
    let faults = ["server_error", "bad_gateway", "overloaded"].map(fault).join(", ");
    place.file("sim.json", &format!(r#"{{"faults": [{faults}, {waits}]}}"#));
    let simulator = Server::simulator(&place, &["--config", "sim.json"]);
    let upstream = |name: &str, base: &str| {
        format!("[upstream.{name}]\nprotocol = \"{name}\"\nbase_url = \"{}{base}\"\n", simulator.url())
    };
    let server =
        Server::configured(&place, &[upstream("openai", "/openai/v1"), upstream("anthropic", "/anthropic")].concat());
    for (model, openai, anthropic) in
        [("server_error", 502, 502), ("bad_gateway", 502, 502), ("overloaded", 503, 529), ("wait", 503, 529)]
    {
        let body = format!(r#"{{"model": "{model}", "max_tokens": 9, "messages": []}}"#);
        for (path, status) in [("/openai/v1/chat/completions", openai), ("/anthropic/v1/messages", anthropic)] {
            let reply = post(server.address, path, &body);
            assert_eq!(reply.status, status, "{model} at {path}: {reply:?}");
            let error = &reply.json()["error"];
            assert!(error["type"].is_string() && error["message"].is_string(), "{model} at {path}: {reply:?}");
            let waits = reply.headers.contains_key("retry-after");
            assert!(waits || model != "wait", "{path}: {reply:?}");
        }
    }
}
