use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{RESPONSES, call};
use crate::support::{Reply, Server};

const ASYNC: (&str, &str) = ("prefer", "respond-async");
const CHAT: &str = "/openai/v1/chat/completions";

async fn asked(server: &Server, path: &str, prefer: &str, body: &Value) -> Reply {
    call(server, Method::POST, path, &[("prefer", prefer)], body).await
}

#[tokio::test]
async fn a_call_becomes_a_job_for_who_would_rather_not_wait() {
    let server = Server::dialects().await;
    let cases = [
        (CHAT, json!({ "model": "m", "messages": [], "stream": true }), "llm.chat"),
        ("/openai/v1/embeddings", json!({ "model": "m", "input": "x" }), "llm.embed"),
        ("/openai/v1/images/generations", json!({ "model": "gpt-image-1", "prompt": "a fox" }), "image.generate"),
        (RESPONSES, json!({ "model": "m", "input": "hello" }), "llm.response"),
    ];
    for (path, body, kind) in cases {
        let reply = call(&server, Method::POST, path, &[ASYNC], &body).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text());
        let job = reply.json();
        assert_eq!(job["kind"], kind);
        assert_eq!(reply.header("location"), Some(format!("/v1/jobs/{}", reply.id()).as_str()));
        assert_eq!(reply.header("preference-applied"), Some("respond-async"));
        assert!(reply.header("retry-after").is_some());
        let input = server.engine.store().input(reply.id().parse().unwrap()).await.unwrap().unwrap();
        let input: Value = input.parse().unwrap();
        assert!(input.get("stream").is_none());
        if kind == "image.generate" {
            assert_eq!(input, json!({ "model": "gpt-image-1", "input": { "prompt": "a fox" } }));
        }
    }
}

#[tokio::test]
async fn who_would_wait_a_little_gets_the_answer_if_it_is_there_in_time() {
    let server = Server::dialects().await;
    let body = json!({ "model": "m", "messages": [] });
    let reply = asked(&server, CHAT, "respond-async, wait=10", &body).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    assert_eq!(reply.json()["object"], "llm.chat");
    assert!(reply.json()["id"].as_str().unwrap().starts_with("chatcmpl-"));
    let cut = json!({ "model": "m", "input": "incomplete" });
    let cut = asked(&server, RESPONSES, "respond-async, wait=10", &cut).await;
    assert_eq!((cut.status, &cut.json()["status"]), (StatusCode::OK, &json!("incomplete")));
    let refused = asked(&server, CHAT, "respond-async, wait=10", &json!({ "model": "refused" })).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{}", refused.text());
    assert_eq!(
        (&refused.json()["error"]["code"], refused.header("x-should-retry")),
        (&json!("insufficient_quota"), Some("false"))
    );
    let waiting = asked(&server, RESPONSES, "respond-async, wait=0", &json!({ "model": "m", "input": "wait" })).await;
    assert_eq!((waiting.status, &waiting.json()["kind"]), (StatusCode::ACCEPTED, &json!("llm.response")));
}

#[tokio::test]
async fn a_chat_completion_that_was_made_here_is_read_again() {
    let server = Server::dialects().await;
    let body = json!({ "model": "m", "messages": [] });
    let path = |id: &str| format!("{CHAT}/{id}");
    let reply = asked(&server, CHAT, "respond-async, wait=10", &body).await;
    let chat = reply.json();
    assert_eq!(server.get(&path(chat["id"].as_str().unwrap())).await.json(), chat);
    let refused = asked(&server, CHAT, "respond-async", &json!({ "model": "refused" })).await.id();
    let refused = server.get(&format!("{}?wait=10", path(&refused.replace("job_", "chatcmpl-")))).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (StatusCode::TOO_MANY_REQUESTS, &json!("insufficient_quota"))
    );
    // One that is not there yet is no empty success.
    server.engine.store().set_paused(&"llm.chat".parse().unwrap(), true).await.unwrap();
    let waiting = asked(&server, CHAT, "respond-async", &body).await.id().replace("job_", "chatcmpl-");
    let reply = server.get(&path(&waiting)).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (StatusCode::CONFLICT, &json!("job_not_finished")));
    assert!(reply.header("retry-after").is_some() && reply.header("x-should-retry").is_none());
    let embedding = asked(&server, "/openai/v1/embeddings", "respond-async", &json!({ "model": "m" })).await.id();
    for id in ["chatcmpl-1", &embedding.replace("job_", "chatcmpl-")] {
        assert_eq!(server.get(&path(id)).await.status, StatusCode::NOT_FOUND, "{id}");
    }
}

#[tokio::test]
async fn a_response_that_was_made_as_a_job_is_read_again_and_comes_after_another() {
    let server = Server::dialects().await;
    let first = asked(&server, RESPONSES, "respond-async, wait=10", &json!({ "model": "m", "input": "hello" })).await;
    let first = first.json()["id"].clone();
    let body = json!({ "model": "m", "input": "more", "previous_response_id": first });
    let second = asked(&server, RESPONSES, "respond-async, wait=10", &body).await.json()["id"].clone();
    let read = server.get(&format!("{RESPONSES}/{}", second.as_str().unwrap())).await.json();
    assert_eq!((&read["status"], &read["previous_response_id"]), (&json!("completed"), &first));
}

#[tokio::test]
async fn a_response_that_nobody_asked_to_queue_is_never_shown_queued() {
    let server = Server::dialects().await;
    for background in [json!(false), json!(null)] {
        let body = json!({ "model": "m", "input": "hello", "background": background });
        let reply = call(&server, Method::POST, RESPONSES, &[], &body).await;
        // Without an upstream there is no answer, and certainly no empty one.
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (StatusCode::NOT_FOUND, &json!("model_not_found")));
    }
}

/// A body that names a file by an id of our form.
fn naming(kind: &str, stream: bool) -> Value {
    let file = "file-000001a20d5e7a0c5b0ad12563f27f30";
    match kind {
        "llm.chat" => {
            let content = json!([{ "type": "file", "file": { "file_id": file } }]);
            json!({ "model": "m", "messages": [{ "role": "user", "content": content }], "stream": stream })
        }
        _ => {
            let content = json!([{ "type": "input_file", "file_id": file }]);
            json!({ "model": "m", "input": [{ "role": "user", "content": content }], "stream": stream })
        }
    }
}

#[tokio::test]
async fn a_call_that_names_a_file_is_a_job_whose_answer_is_waited_for() {
    // There is no upstream that calls could be passed on to.
    let server = Server::dialects().await;
    let reply = call(&server, Method::POST, RESPONSES, &[], &naming("llm.response", false)).await;
    assert_eq!((reply.status, &reply.json()["status"]), (StatusCode::OK, &json!("completed")), "{}", reply.text());
    let job = reply.header("raincheck-job").unwrap().to_owned();
    assert_eq!(reply.json()["id"], job.replace("job_", "resp_"));
    let again = [("x-stainless-retry-count", "1")];
    let again = call(&server, Method::POST, RESPONSES, &again, &naming("llm.response", false)).await;
    assert_eq!(again.header("raincheck-job"), Some(job.as_str()), "a request that is sent again is not paid for twice");
    let streamed = call(&server, Method::POST, RESPONSES, &[], &naming("llm.response", true)).await;
    let events = super::events(streamed.text());
    assert_eq!(events.last().unwrap()["type"], "response.completed");
    let chat = call(&server, Method::POST, CHAT, &[], &naming("llm.chat", false)).await;
    assert_eq!((chat.status, &chat.json()["object"]), (StatusCode::OK, &json!("llm.chat")), "{}", chat.text());
    let refused = call(&server, Method::POST, CHAT, &[], &naming("llm.chat", true)).await;
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (StatusCode::BAD_REQUEST, &json!("stream")));
}
