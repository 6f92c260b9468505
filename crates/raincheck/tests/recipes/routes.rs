use serde_json::json;

use super::{ECHO, Kitchen};
use crate::support::{delete, request};

#[test]
fn what_is_sent_in_path_query_and_body_becomes_a_job_and_is_answered_in_the_recipes_words() {
    let kitchen = Kitchen::new(&[("echo", ECHO)]);
    let accepted = kitchen.post("/api/echo/ada?loud=true", r#"{"text": "hello", "times": 2}"#);
    let id = accepted.json()["id"].as_str().unwrap().to_owned();
    assert_eq!((accepted.status, accepted.body.as_str()), (202, &*format!(r#"{{"id":"{id}","state":"pending"}}"#)));
    assert_eq!(accepted.headers["location"], format!("/api/echo-status/{id}"));
    assert!(accepted.headers.contains_key("retry-after"));
    let told = kitchen.ended("/api/echo-status", &accepted);
    assert_eq!(told["result"], json!({ "said": "ada: HELLO", "times": 2 }));
    // The job is found under its UUID as well, and by the native API.
    assert_eq!(kitchen.server.get(&format!("/api/echo-status/{}", told["id"].as_str().unwrap())).status, 200);
    assert_eq!(kitchen.server.job(&id)["labels"], json!({ "recipe": "echo" }));
    assert_eq!(kitchen.server.get("/api/echoes").json(), json!({ "jobs": [{ "said": "ada: HELLO" }] }));
}

#[test]
fn a_form_is_read_as_its_fields_are() {
    let kitchen = Kitchen::new(&[("echo", ECHO)]);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let accepted = request(kitchen.server.address, "POST", "/api/echo/ada", &form, "text=a+b%21&times=3");
    let told = kitchen.ended("/api/echo-status", &accepted);
    assert_eq!(told["result"], json!({ "said": "ada: a b!", "times": 3 }));
}

#[test]
fn what_does_not_fit_is_refused_before_there_is_a_job() {
    let kitchen = Kitchen::new(&[("echo", ECHO)]);
    for (path, body, status, name, detail) in [
        (
            "/api/echo/ada",
            r#"{"text": ""}"#,
            422,
            "invalid-input",
            "text: it should have from 1 to 20 characters, not 0",
        ),
        (
            "/api/echo/ada",
            r#"{"txt": "a"}"#,
            422,
            "invalid-input",
            "text: it is missing; there is no field \"txt\"; did you mean text?",
        ),
        (
            "/api/echo/ada?loud=maybe",
            r#"{"text": "a"}"#,
            422,
            "invalid-input",
            "loud: it should be true or false, not text",
        ),
        (
            "/api/echo/ada?lod=true",
            r#"{"text": "a"}"#,
            422,
            "invalid-input",
            "there is no field \"lod\"; did you mean loud?",
        ),
        ("/api/echo/ada", r#"["a"]"#, 422, "invalid-request", "expected an object"),
        ("/api/echo/ada", "{", 400, "malformed-request", ""),
        ("/api/echo/%ff", r#"{"text": "a"}"#, 400, "malformed-request", "the path is not percent-encoded UTF-8"),
        ("/api/ech/ada", r#"{"text": "a"}"#, 404, "not-found", ""),
    ] {
        let reply = kitchen.post(path, body);
        assert_eq!(
            (reply.status, reply.json()["type"].as_str().unwrap()),
            (status, &*format!("urn:raincheck:problem:{name}")),
            "{body}"
        );
        assert!(reply.json()["detail"].as_str().unwrap().contains(detail), "{reply:?}");
    }
    assert_eq!(kitchen.post("/api/echo/ada", r#"{"text": "a"}"#).status, 202);
    assert_eq!(kitchen.server.get("/v1/jobs").json()["jobs"].as_array().unwrap().len(), 1);
    let other = delete(kitchen.server.address, "/api/echo/ada");
    assert_eq!((other.status, other.headers["allow"].as_str()), (405, "POST"));
    let text = request(kitchen.server.address, "POST", "/api/echo/ada", &[("content-type", "text/plain")], "hello");
    assert_eq!(text.status, 415);
}

#[test]
fn refusals_are_told_in_the_recipes_words() {
    let words = r#"
[errors.invalid-input]
status = 400
body = { error = "{{ problem.name }}", why = "{{ problem.detail }}", where = "{{ problem.pointer }}" }
[errors."*"]
body = { error = "other" }
"#;
    let kitchen = Kitchen::new(&[("echo", &format!("{ECHO}{words}"))]);
    let reply = kitchen.post("/api/echo/ada", "{}");
    assert_eq!((reply.status, reply.headers["content-type"].as_str()), (400, "application/json"));
    assert_eq!(reply.body, r#"{"error":"invalid-input","why":"text: it is missing","where":"/text"}"#);
    let reply = kitchen.server.get("/api/echo-status/nobody");
    assert_eq!((reply.status, reply.body.as_str()), (404, r#"{"error":"other"}"#));
}

#[test]
fn a_request_that_is_sent_again_is_given_the_same_job() {
    let keyed = ECHO.replace("[steps.say]", "[job]\nidempotency_key = \"{{ input.who }}\"\n[steps.say]");
    let kitchen = Kitchen::new(&[("echo", &keyed)]);
    let first = kitchen.post("/api/echo/ada", r#"{"text": "a"}"#);
    let again = kitchen.post("/api/echo/ada", r#"{"text": "a"}"#);
    assert_eq!((again.body, again.headers["idempotency-replayed"].as_str()), (first.body.clone(), "true"));
    assert_eq!(kitchen.post("/api/echo/ada", r#"{"text": "b"}"#).status, 422, "another request under the same key");
    assert_ne!(kitchen.post("/api/echo/bob", r#"{"text": "a"}"#).json(), first.json());
    let header = [("content-type", "application/json"), ("idempotency-key", "mine")];
    let send = |text: &str| request(kitchen.server.address, "POST", "/api/echo/eve", &header, text).body;
    assert_eq!(send(r#"{"text": "c"}"#), send(r#"{ "text": "c", "times": 1 }"#), "what it comes to is the same");
}

#[test]
fn a_public_route_takes_few_of_one_address_and_shows_only_its_own() {
    let public = r#"
name = "landing"
[route]
post = "/api/landing"
public = true
per_address = 3
[input]
question = "string"
[steps.answer]
kind = "echo"
input = "{{ input.question }}"
[accepted]
body = { id = "{{ job.id }}" }
[status]
get = "/api/landing/{id}"
body = { answer = "{{ job.result }}" }
"#;
    let kitchen = Kitchen::new(&[("landing", public), ("echo", ECHO)]);
    let key = crate::support::run(&mut crate::support::raincheck(&[
        "key",
        "create",
        "--scope",
        "submit,read",
        "--tenant",
        "acme",
        "--data-dir",
        kitchen.place.data().to_str().unwrap(),
        "--json",
    ]));
    let key = key.json()["key"].as_str().unwrap().to_owned();
    let asked: Vec<_> = (0..4).map(|_| kitchen.post("/api/landing", r#"{"question": "Why?"}"#)).collect();
    assert_eq!(asked.iter().map(|reply| reply.status).collect::<Vec<_>>(), [202, 202, 202, 429]);
    assert_eq!(asked[3].json()["type"], "urn:raincheck:problem:rate-limited");
    assert!(asked[3].headers["retry-after"].parse::<u64>().unwrap() <= 26);
    assert_eq!(kitchen.ended("/api/landing", &asked[0])["answer"], "Why?");
    // The other recipe asks for a key, and what belongs to its owner is nobody else's.
    assert_eq!(kitchen.post("/api/echo/ada", r#"{"text": "a"}"#).status, 401);
    let bearer = format!("Bearer {key}");
    let keyed = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    let own = request(kitchen.server.address, "POST", "/api/echo/ada", &keyed, r#"{"text": "a"}"#);
    let id = own.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(kitchen.server.get(&format!("/api/landing/{id}")).status, 404);
    assert_eq!(kitchen.server.get(&format!("/api/echo-status/{id}")).status, 401);
    assert_eq!(request(kitchen.server.address, "GET", &format!("/api/echo-status/{id}"), &keyed[1..], "").status, 200);
}

#[test]
fn no_more_wait_than_may() {
    let slow = r#"
name = "slow"
[route]
post = "/api/slow"
[job]
waiting_max = 2
[steps.wait]
kind = "sleep"
input = { seconds = 30 }
[cancel]
post = "/api/slow/{id}/cancel"
body = { state = "{{ job.state }}" }
"#;
    no_more_than_two_wait(slow);
    no_more_than_two_wait(&slow.replace("[job]", "[job]\nqueue = \"aside\""));
}

/// Beside the one that runs.
fn no_more_than_two_wait(slow: &str) {
    let kitchen = Kitchen::configured(&[("slow", slow)], "[engine]\nconcurrency = 1\n");
    let first = kitchen.post("/api/slow", "");
    kitchen.server.running(first.json()["id"].as_str().unwrap());
    let more: Vec<_> = (0..3).map(|_| kitchen.post("/api/slow", "")).collect();
    assert_eq!(more.iter().map(|reply| reply.status).collect::<Vec<_>>(), [202, 202, 429], "{more:?}");
    let cancelled = kitchen.post(&format!("/api/slow/{}/cancel", first.json()["id"].as_str().unwrap()), "");
    assert_eq!(cancelled.status, 200, "{cancelled:?}");
    // The next one begins.
    kitchen.server.running(more[0].json()["id"].as_str().unwrap());
}
