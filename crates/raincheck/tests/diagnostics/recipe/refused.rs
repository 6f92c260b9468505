use serde_json::json;

use super::{RUBRIC, send, serve, serve_changed};
use crate::diagnostics::Stage;
use crate::support::{Reply, Server, request};

const NOBODYS: &str = "/api/diagnostics/job_00000000000070008000000000000000";

fn sent_as(server: &Server, content_type: &str, body: &str) -> Reply {
    request(server.address, "POST", "/api/diagnostics", &[("content-type", content_type)], body)
}

#[test]
fn what_cannot_be_scored_is_refused_before_there_is_a_job() {
    let stage = Stage::new(|_| {});
    let server = serve_changed(&stage, |recipe| recipe.replace("max = 52428800", "max = 1000"));
    let large = "x".repeat(1_001);
    for (parts, status, error, told) in [
        (vec![("rubric", RUBRIC)], 422, "invalid-input", "file: it is missing"),
        (vec![("file", ""), ("rubric", RUBRIC)], 422, "invalid-input", "file: the file is empty"),
        (vec![("file", "a")], 422, "invalid-input", "rubric: it is missing"),
        (
            vec![("file", "a"), ("rubric", "")],
            422,
            "invalid-input",
            "rubric: it should have from 1 to 50000 characters",
        ),
        (
            vec![("file", "a"), ("rubric", RUBRIC), ("rubrik", "a")],
            422,
            "invalid-input",
            "there is no field \"rubrik\"",
        ),
        (vec![("file", large.as_str()), ("rubric", RUBRIC)], 413, "body-too-large", ""),
    ] {
        let reply = send(&server, &parts, &[]);
        let body = reply.json();
        assert_eq!((reply.status, body["error"].as_str()), (status, Some(error)), "{body}");
        assert!(body["message"].as_str().is_some_and(|message| message.contains(told)), "{body}");
    }
    for (content_type, body, status) in [
        // A file alone brings no rubric along.
        ("text/plain", "Agent: Yes?", 415),
        ("application/octet-stream", "Agent: Yes?", 415),
        ("application/json", r#"{"file": "Agent: Yes?", "rubric": "a"}"#, 422),
        ("application/json", "{", 400),
        ("multipart/form-data", "--X", 415),
        ("multipart/form-data; boundary=X", "--X\r\nContent-Disposition: form-data; name=\"file\"", 400),
    ] {
        let reply = sent_as(&server, content_type, body);
        assert_eq!(reply.status, status, "{content_type}: {reply:?}");
        assert!(reply.json()["message"].as_str().is_some_and(|message| !message.is_empty()), "{reply:?}");
    }
    assert_eq!(server.get(NOBODYS).status, 404);
    assert_eq!(server.get("/api/diagnostics/nobody").json()["error"], "not-found");
    assert_eq!(server.get("/api/tasks").json(), json!({ "tasks": [] }));
    assert_eq!(server.get("/openai/v1/files").json()["data"], json!([]), "and no file is kept");
}

#[test]
fn a_diagnostic_is_seen_by_its_owner_alone() {
    let stage = Stage::new(|_| {});
    let keys = ["acme", "globex"].map(|tenant| {
        let data = stage.place.data();
        let create = ["key", "create", "--scope", "submit,read", "--tenant", tenant, "--json", "--data-dir"];
        let create = [&create[..], &[data.to_str().expect("a plain path")]].concat();
        let key = crate::support::run(&mut crate::support::raincheck(&create)).json();
        format!("Bearer {}", key["key"].as_str().expect("a key"))
    });
    let server = serve(&stage);
    assert_eq!(send(&server, &[("file", "a"), ("rubric", RUBRIC)], &[]).status, 401);
    let reply = send(&server, &[("file", "a"), ("rubric", RUBRIC)], &[("Authorization", &keys[0])]);
    let path = &reply.headers["location"];
    let get = |path: &str, key: &str| request(server.address, "GET", path, &[("Authorization", key)], "");
    let seen = keys.each_ref().map(|key| get(path, key).status);
    assert_eq!(seen, [200, 404]);
    let tasks = keys.each_ref().map(|key| get("/api/tasks", key).json()["tasks"].as_array().map(Vec::len));
    assert_eq!(tasks, [Some(1), Some(0)]);
    let cancel = request(server.address, "POST", &format!("{path}/cancel"), &[("Authorization", &keys[1])], "");
    assert_eq!(cancel.status, 404);
}
