use serde_json::json;

use super::{Platform, QUERY, QUESTION, answer, ask, constant};
use crate::support::{Place, post, raincheck, request, run};

/// Row A15.
#[test]
fn what_cannot_be_asked_is_refused_before_there_is_a_job() {
    let platform = Platform::new(&constant(1));
    let server = platform.serve();
    let long = json!({ "question": "x".repeat(100_000) }).to_string();
    let unknown =
        json!({ "question": QUESTION, "conversationId": "conv_01a20e3b2dd570009540a7d508762d39" }).to_string();
    for (path, body, status, name, message) in [
        (
            QUERY,
            r#"{"question": ""}"#,
            422,
            "invalid-input",
            "question: it should have from 1 to 8000 characters, not 0",
        ),
        (QUERY, r#"{"question": " \n "}"#, 422, "invalid-input", "question: it should not be blank"),
        (QUERY, long.as_str(), 422, "invalid-input", "question: it should have from 1 to 8000 characters, not 100000"),
        (QUERY, r#"{"qestion": "Why?"}"#, 422, "invalid-input", "did you mean question?"),
        (QUERY, r#"{"question": 7}"#, 422, "invalid-input", "question: it should be text"),
        (QUERY, unknown.as_str(), 404, "not-found", "there is no such conversation"),
        (QUERY, r#"{"question": "Why?", "conversationId": "x"}"#, 404, "not-found", "there is no such conversation"),
        (QUERY, "{\"question\": \"Why?\"", 400, "malformed-request", "line 1 column 19"),
        ("/api/landing-assistant/query", "{}", 422, "invalid-input", "question: it is missing"),
        ("/api/tutors/t-17/copilot", "{}", 422, "invalid-input", "transcript: it is missing"),
        ("/api/personas", r#"{"userId": "ada"}"#, 422, "invalid-input", "profile: it is missing"),
    ] {
        let reply = post(server.address, path, body);
        let told = reply.json();
        assert_eq!((reply.status, told["error"].as_str().unwrap()), (status, name), "{told}");
        assert!(told["message"].as_str().unwrap().contains(message), "{told}");
    }
    let text = request(server.address, "POST", QUERY, &[("content-type", "text/plain")], "Why?");
    assert_eq!((text.status, text.json()["error"].as_str()), (415, Some("unsupported-media-type")));
    assert_eq!(server.get("/v1/jobs").json()["jobs"], json!([]));
    assert_eq!(server.get("/api/assistant/jobs/nobody").status, 404);
    // A job of one recipe is none of another's.
    let asked = ask(&server, QUESTION, None);
    assert_eq!(server.get(&format!("/api/personas/jobs/{}", asked.job)).status, 404);
    answer(&server, &asked);
    let bogus = [("accept", "text/event-stream"), ("last-event-id", "yesterday")];
    let reply = request(server.address, "GET", &format!("/api/assistant/jobs/{}", asked.job), &bogus, "");
    assert_eq!((reply.status, reply.json()["error"].as_str()), (400, Some("malformed-request")), "{reply:?}");
    // One profile for each person.
    let persona = |profile: &str| {
        post(server.address, "/api/personas", &json!({ "userId": "ada", "profile": profile }).to_string())
    };
    assert_eq!(persona("Asks much.").status, 202);
    assert_eq!((persona("Asks little.").status, persona("Asks much.").status), (422, 202));
}

fn key(place: &Place, tenant: &str) -> String {
    let data = place.data();
    let create = ["key", "create", "--scope", "submit,read", "--tenant", tenant, "--json", "--data-dir"];
    let made = run(&mut raincheck(&[&create[..], &[data.to_str().expect("a path")]].concat()));
    format!("Bearer {}", made.json()["key"].as_str().expect("a key"))
}

#[test]
fn what_is_somebody_elses_is_not_there_and_a_visitor_needs_no_key() {
    let platform = Platform::new(&constant(1));
    let server = platform.serve();
    let [ada, bob] = ["ada", "bob"].map(|tenant| key(&platform.place, tenant));
    let send = |key: &str, method: &str, path: &str, body: &str| {
        let headers = [("authorization", key), ("content-type", "application/json")];
        request(server.address, method, path, &headers[..if body.is_empty() { 1 } else { 2 }], body)
    };
    let question = json!({ "question": QUESTION }).to_string();
    let asked = send(&ada, "POST", QUERY, &question).json();
    let told = |name: &str| asked[name].as_str().unwrap().to_owned();
    let pages = [
        ("GET", format!("/api/assistant/jobs/{}", told("jobId"))),
        ("GET", format!("/api/assistant/conversations/{}", told("conversationId"))),
        ("POST", format!("/api/assistant/jobs/{}/cancel", told("jobId"))),
    ];
    for (method, path) in &pages {
        assert_eq!(send(&bob, method, path, "").status, 404, "{path}");
        assert_eq!(request(server.address, method, path, &[], "").status, 401, "{path}");
    }
    assert_eq!(
        pages[..2].iter().map(|(method, path)| send(&ada, method, path, "").status).collect::<Vec<_>>(),
        [200, 200]
    );
    let into = json!({ "question": QUESTION, "conversationId": told("conversationId") }).to_string();
    assert_eq!(send(&bob, "POST", QUERY, &into).status, 404);
    // A visitor asks without a key, but not without end.
    let visit = || post(server.address, "/api/landing-assistant/query", &question).status;
    let visits: Vec<u16> = (0..22).map(|_| visit()).collect();
    assert_eq!(visits.iter().filter(|status| **status == 202).count(), 20, "{visits:?}");
    assert_eq!(visits.last(), Some(&429));
}
