use raincheck_simulator::Dialect;
use serde_json::{Value, json};

use crate::client::{get, post, post_with, request};
use crate::{QUICK, simulator};

const RESPONSES: &str = "/openai/v1/responses";
const CHAT: &str = "/openai/v1/chat/completions";

fn ask(extra: &Value) -> Value {
    let mut body = json!({"model": "gpt-sim", "input": "How slow can it be?"});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

fn deltas(events: &[Value]) -> String {
    let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
    deltas.map(|event| event["delta"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_stream_of_responses_adds_up_to_the_response() {
    let sim = simulator(QUICK).await;
    let whole = post(sim.address(), RESPONSES, &ask(&json!({}))).await;
    assert_eq!(whole.status, 200);
    assert!(whole.headers["x-request-id"].starts_with("req_") && whole.headers.contains_key("openai-processing-ms"));
    let whole = whole.json();
    let text = whole["output"][0]["content"][0]["text"].as_str().unwrap();
    assert_eq!((&whole["status"], &whole["usage"]["output_tokens"]), (&json!("completed"), &json!(12)));
    let counted = post(sim.address(), &format!("{RESPONSES}/input_tokens"), &ask(&json!({}))).await.json();
    assert_eq!(counted["input_tokens"], whole["usage"]["input_tokens"]);

    let stream = post(sim.address(), RESPONSES, &ask(&json!({"stream": true}))).await;
    assert_eq!(stream.headers["content-type"], "text/event-stream; charset=utf-8");
    let events = stream.events();
    let numbers: Vec<u64> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
    assert_eq!(deltas(&events), text);
    let last = &events.last().unwrap()["response"];
    assert_eq!((&last["usage"], &last["output"][0]["content"]), (&whole["usage"], &whole["output"][0]["content"]));
    let kept = get(sim.address(), &format!("{RESPONSES}/{}", last["id"].as_str().unwrap())).await.json();
    assert_eq!(kept, *last);

    let cut = post(sim.address(), RESPONSES, &ask(&json!({"max_output_tokens": 5}))).await.json();
    assert_eq!(
        (&cut["status"], &cut["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );
    let ledger = sim.ledger();
    assert_eq!((ledger.total.executions, ledger.total.completed), (3, 3));
    assert_eq!(ledger.dialects[&Dialect::Openai].output_tokens, 12 + 12 + 5);
}

#[tokio::test]
async fn a_background_response_goes_on_by_itself_and_is_streamed_from_anywhere() {
    let sim = simulator(
        r#"{"time_scale": 60, "behaviour": {"call_ms": {"constant": 18000}, "output_tokens": {"constant": 6}}}"#,
    )
    .await;
    let begun = post(sim.address(), RESPONSES, &ask(&json!({"background": true}))).await.json();
    assert!(begun["status"] == "queued" || begun["status"] == "in_progress", "{begun}");
    let path = format!("{RESPONSES}/{}", begun["id"].as_str().unwrap());
    let refused = get(sim.address(), &format!("{path}?stream=true")).await;
    assert_eq!(refused.status, 400);

    let events = post(sim.address(), RESPONSES, &ask(&json!({"background": true, "stream": true}))).await.events();
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[..3], ["response.created", "response.queued", "response.in_progress"]);
    assert_eq!(kinds.last(), Some(&"response.completed"));
    let path = format!("{RESPONSES}/{}", events[0]["response"]["id"].as_str().unwrap());
    let again = get(sim.address(), &format!("{path}?stream=true&starting_after=6")).await.events();
    assert_eq!(again, events[7..]);
    let done = get(sim.address(), &path).await.json();
    assert_eq!((&done["status"], done["background"].as_bool()), (&json!("completed"), Some(true)));
    assert_eq!(done["completed_at"].as_i64().unwrap() - done["created_at"].as_i64().unwrap(), 18);
}

#[tokio::test]
async fn a_background_response_can_be_cancelled_once_and_deleted() {
    let sim = simulator(r#"{"behaviour": {"call_ms": {"constant": 600000}}}"#).await;
    let begun = post(sim.address(), RESPONSES, &ask(&json!({"background": true}))).await.json();
    let path = format!("{RESPONSES}/{}", begun["id"].as_str().unwrap());
    let cancelled = post(sim.address(), &format!("{path}/cancel"), &json!({})).await.json();
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(post(sim.address(), &format!("{path}/cancel"), &json!({})).await.json(), cancelled);
    let items = get(sim.address(), &format!("{path}/input_items")).await.json();
    assert_eq!(items["data"][0]["content"], json!([{"type": "input_text", "text": "How slow can it be?"}]));
    let deleted = request(sim.address(), "DELETE", &path, &[], b"").await.json();
    assert_eq!(deleted["deleted"], true);
    let gone = get(sim.address(), &path).await;
    assert_eq!((gone.status, &gone.json()["error"]["type"]), (404, &json!("invalid_request_error")));
    let total = sim.ledger().total;
    assert_eq!((total.executions, total.cancelled, total.completed, total.under_way), (1, 1, 0, 0));
}

#[tokio::test]
async fn a_response_comes_after_one_that_was_given_out() {
    let sim = simulator(QUICK).await;
    let after = |id: &Value| ask(&json!({"previous_response_id": id}));
    let first = post(sim.address(), RESPONSES, &ask(&json!({}))).await.json();
    let second = post(sim.address(), RESPONSES, &after(&first["id"])).await;
    assert_eq!((second.status, &second.json()["previous_response_id"]), (200, &first["id"]));
    let unstored = post(sim.address(), RESPONSES, &ask(&json!({"store": false}))).await.json();
    for id in [&json!("resp_1"), &unstored["id"]] {
        let none = post(sim.address(), RESPONSES, &after(id)).await;
        let error = none.json()["error"].clone();
        assert_eq!((none.status, &error["param"]), (400, &json!("previous_response_id")), "{error}");
        assert_eq!(error["code"], "previous_response_not_found");
    }
}

#[tokio::test]
async fn a_stream_of_chat_adds_up_and_tells_its_usage_where_asked() {
    let sim = simulator(QUICK).await;
    let ask = |extra: &Value| {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    let whole = post(sim.address(), CHAT, &ask(&json!({}))).await.json();
    let stream =
        post(sim.address(), CHAT, &ask(&json!({"stream": true, "stream_options": {"include_usage": true}}))).await;
    assert!(stream.text().ends_with("data: [DONE]\n\n"));
    let chunks = stream.events();
    let text: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(whole["choices"][0]["message"]["content"], json!(text));
    assert_eq!(chunks.last().unwrap()["usage"], whole["usage"]);
    assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "stop");
    let bare = post(sim.address(), CHAT, &ask(&json!({"stream": true}))).await.events();
    assert!(bare.iter().all(|chunk| chunk.get("usage").is_none()));
}

#[tokio::test]
async fn embeddings_images_and_models_are_served() {
    let sim = simulator(QUICK).await;
    let body = json!({"model": "e", "input": ["a", "b", "a"], "dimensions": 8});
    let embedded = post(sim.address(), "/openai/v1/embeddings", &body).await.json();
    assert_eq!(embedded["data"][0]["embedding"], embedded["data"][2]["embedding"]);
    assert_ne!(embedded["data"][0]["embedding"], embedded["data"][1]["embedding"]);
    assert_eq!(embedded["data"][0]["embedding"].as_array().unwrap().len(), 8);
    let body = json!({"prompt": "rain", "size": "64x64", "response_format": "url"});
    let images = post(sim.address(), "/openai/v1/images/generations", &body).await.json();
    let url = images["data"][0]["url"].as_str().unwrap().to_owned();
    let picture = get(sim.address(), url.split_once(&sim.address().to_string()).unwrap().1).await;
    assert!(picture.body.starts_with(b"\x89PNG"), "{picture:?}");
    assert!(get(sim.address(), "/openai/v1/models").await.json()["data"].is_array());
    assert_eq!(get(sim.address(), "/openai/v1/nonsense").await.status, 404);
}

#[tokio::test]
async fn files_are_kept() {
    let sim = simulator(QUICK).await;
    let form = "--x\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--x\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"in.jsonl\"\r\n\r\n{}\n\r\n--x--\r\n";
    let headers = [("content-type", "multipart/form-data; boundary=x")];
    let files = "/openai/v1/files";
    let file = request(sim.address(), "POST", files, &headers, form.as_bytes()).await.json();
    assert_eq!((&file["bytes"], &file["filename"], &file["purpose"]), (&json!(3), &json!("in.jsonl"), &json!("batch")));
    let path = format!("{files}/{}", file["id"].as_str().unwrap());
    assert_eq!(get(sim.address(), &path).await.json(), file);
    assert_eq!(get(sim.address(), &format!("{path}/content")).await.body, b"{}\n");
    assert_eq!(get(sim.address(), files).await.json()["data"], json!([file]));
    assert_eq!((sim.ledger().total.uploads, sim.ledger().total.received), (1, 0));
    let naming = json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": file["id"]}]}]});
    assert_eq!(post(sim.address(), RESPONSES, &ask(&naming)).await.status, 200);
    assert_eq!(request(sim.address(), "DELETE", &path, &[], b"").await.json()["deleted"], true);
    assert_eq!(get(sim.address(), &path).await.status, 404);
    let refused = post(sim.address(), RESPONSES, &ask(&naming)).await;
    assert_eq!((refused.status, sim.ledger().total.executions), (400, 1), "{}", refused.text());
}

#[tokio::test]
async fn the_same_seed_gives_the_same_bytes() {
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        let sim = simulator(QUICK).await;
        sim.configure(raincheck_simulator::SimConfig { seed, ..sim.config() }).unwrap();
        let mut bytes = Vec::new();
        for extra in [json!({}), json!({"stream": true}), json!({})] {
            bytes.push(post(sim.address(), RESPONSES, &ask(&extra)).await.body);
        }
        assert_ne!(bytes[0], bytes[2], "a second call is another response");
        runs.push(bytes);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test]
async fn keys_are_asked_for_and_masked() {
    let sim = simulator(r#"{"api_keys": ["sk-canary"]}"#).await;
    let refused = post(sim.address(), RESPONSES, &ask(&json!({}))).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (401, &json!("invalid_api_key")));
    let headers = [("authorization", "Bearer sk-canary")];
    assert_eq!(post_with(sim.address(), RESPONSES, &headers, &ask(&json!({}))).await.status, 200);
    let seen = get(sim.address(), "/sim/requests").await;
    assert!(!seen.text().contains("sk-canary"), "{}", seen.text());
    let requests = &seen.json()["requests"];
    assert_eq!((&requests[0]["status"], &requests[1]["status"]), (&json!(401), &json!(200)));
}
