//! Conversations: begun, said in, answered by jobs, read, deleted.

use axum::http::{Method, StatusCode};
use raincheck_api::ApiSettings;
use raincheck_store::{Limits, Scope};
use serde_json::{Value, json};

use crate::support::{Reply, Server};

async fn begin(server: &Server) -> String {
    let reply = server.call(Method::POST, "/v1/conversations", &[], "").await;
    assert_eq!(reply.status, StatusCode::CREATED);
    assert_eq!(reply.header("location"), Some(&*format!("/v1/conversations/{}", reply.id())));
    reply.id()
}

async fn say(server: &Server, id: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    server.call(Method::POST, &format!("/v1/conversations/{id}/messages"), headers, body).await
}

async fn messages(server: &Server, id: &str, query: &str) -> Value {
    server.get(&format!("/v1/conversations/{id}/messages{query}")).await.json()
}

#[tokio::test]
async fn what_the_user_says_is_answered_by_a_job() {
    let server = Server::keyless().await;
    let id = begin(&server).await;
    let body = r#"{"content": "Hello?", "metadata": {"tab": 1}, "job": {"kind": "gate"}}"#;
    let reply = say(&server, &id, &[], body).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    assert_eq!(reply.header("location"), Some(&*format!("/v1/jobs/{}", reply.id())));
    let job = reply.json();
    assert_eq!(
        (&job["turn"]["conversation"], &job["concurrency_key"]),
        (&json!(id), &json!(format!("conversation:{id}")))
    );
    let page = messages(&server, &id, "").await;
    let (question, answer) = (&page["messages"][0], &page["messages"][1]);
    assert_eq!((&question["id"], &answer["id"]), (&job["turn"]["message"], &job["turn"]["answer"]));
    assert_eq!((&question["content"], &question["metadata"]), (&json!("Hello?"), &json!({"tab": 1})));
    assert_eq!((&answer["role"], &answer["state"]), (&json!("assistant"), &json!("processing")));
    assert_eq!((&answer["job"], answer.get("content")), (&job["id"], None));
    server.call(Method::POST, &format!("/v1/jobs/{}/cancel", reply.id()), &[], "").await;
    server.get(&format!("/v1/jobs/{}?wait=10", reply.id())).await;
    assert_eq!(messages(&server, &id, "").await["messages"][1]["state"], json!("cancelled"));
    let ended =
        say(&server, &id, &[("prefer", "wait=10")], r#"{"content": 2, "job": {"kind": "echo", "input": 1.10}}"#);
    assert_eq!(ended.await.status, StatusCode::OK);
    let all = server.get(&format!("/v1/conversations/{id}/messages")).await;
    assert!(all.text().contains(r#""state":"completed","content":1.10"#), "{}", all.text());
    let found = server.get(&format!("/v1/conversations/{id}")).await.json();
    assert_eq!((&found["messages"], &found["turns"]), (&json!(4), &json!(2)));
}

#[tokio::test]
async fn a_message_may_stand_alone_and_pages_go_both_ways() {
    let server = Server::keyless().await;
    let id = begin(&server).await;
    for number in 1..=5 {
        let reply = say(&server, &id, &[], &format!(r#"{{"role": "system", "content": {number}}}"#)).await;
        assert_eq!((reply.status, &reply.json()["number"]), (StatusCode::CREATED, &json!(number)));
    }
    let numbers = |page: &Value| -> Vec<u64> {
        page["messages"].as_array().unwrap().iter().map(|message| message["number"].as_u64().unwrap()).collect()
    };
    let last = messages(&server, &id, "?order=desc&limit=2").await;
    assert_eq!((numbers(&last), &last["next"]), (vec![5, 4], &json!(4)));
    let before = messages(&server, &id, "?order=desc&limit=9&cursor=4").await;
    assert_eq!((numbers(&before), before.get("next")), (vec![3, 2, 1], None));
    assert_eq!(numbers(&messages(&server, &id, "?cursor=3").await), [4, 5]);
}

#[tokio::test]
async fn a_repeated_turn_is_taken_once_and_belongs_to_its_conversation() {
    let server = Server::keyless().await;
    let (id, other) = (begin(&server).await, begin(&server).await);
    let (key, body) = ([("idempotency-key", "k1")], r#"{"content": 1, "job": {"kind": "echo"}}"#);
    let first = say(&server, &id, &key, body).await;
    let again = say(&server, &id, &key, body).await;
    assert_eq!((first.id(), again.header("idempotency-replayed")), (again.id(), Some("true")));
    let elsewhere = say(&server, &other, &key, body).await;
    assert_eq!(elsewhere.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(messages(&server, &id, "").await["messages"].as_array().unwrap().len(), 2);
    assert_eq!(say(&server, &id, &key, r#"{"content": 1}"#).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn conversations_are_listed_and_deleted() {
    let server = Server::keyless().await;
    let reply = server.post("/v1/conversations", r#"{"metadata": {"title": "x"}}"#).await;
    let (first, second) = (reply.id(), begin(&server).await);
    let page = server.get("/v1/conversations?limit=1").await.json();
    assert_eq!(page["conversations"][0]["id"], json!(second));
    let rest = server.get(&format!("/v1/conversations?cursor={}", page["next"].as_str().unwrap())).await.json();
    assert_eq!(rest["conversations"][0]["metadata"], json!({"title": "x"}));
    let job = say(&server, &first, &[], r#"{"content": 1, "job": {"kind": "gate"}}"#).await.id();
    let path = format!("/v1/conversations/{first}");
    assert_eq!(server.call(Method::DELETE, &path, &[], "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(server.call(Method::DELETE, &path, &[], "").await.status, StatusCode::NOT_FOUND);
    let ended = server.get(&format!("/v1/jobs/{job}?wait=10")).await.json();
    assert_eq!(ended["state"], json!("cancelled"));
    for gone in [path.clone(), format!("{path}/messages")] {
        assert_eq!(server.get(&gone).await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn another_tenants_conversation_answers_like_one_that_never_was() {
    let server = Server::keyed().await;
    let scopes = [Scope::Submit, Scope::Read];
    let (owner, stranger) = (server.key("acme", &scopes, None).await, server.key("other", &scopes, None).await);
    let as_owner = [("authorization", &*owner)];
    let id = server.call(Method::POST, "/v1/conversations", &as_owner, "").await.id();
    let turn = r#"{"content": 1, "job": {"kind": "echo"}}"#;
    for (method, rest, body) in [
        (Method::GET, "", ""),
        (Method::DELETE, "", ""),
        (Method::GET, "/messages", ""),
        (Method::POST, "/messages", turn),
        (Method::POST, "/messages", r#"{"content": 1}"#),
    ] {
        let as_stranger = [("authorization", &*stranger)];
        let theirs = server.call(method.clone(), &format!("/v1/conversations/{id}{rest}"), &as_stranger, body).await;
        let none = server.call(method, &format!("/v1/conversations/conv_x{rest}"), &as_stranger, body).await;
        assert_eq!((theirs.status, theirs.text()), (StatusCode::NOT_FOUND, none.text()), "{rest}");
    }
    let list = server.call(Method::GET, "/v1/conversations", &[("authorization", &*stranger)], "").await;
    assert_eq!(list.json()["conversations"], json!([]));
    assert_eq!(
        server.call(Method::GET, &format!("/v1/conversations/{id}"), &as_owner, "").await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn each_mistake_in_a_message_is_told_where_it_is() {
    let server = Server::keyless().await;
    let id = begin(&server).await;
    for (body, status, pointer) in [
        ("{}", 422, Some("")),
        (r#"{"content": null}"#, 422, Some("/content")),
        (r#"{"content": 1, "role": "robot"}"#, 422, Some("/role")),
        (r#"{"content": 1, "role": "assistant", "job": {"kind": "echo"}}"#, 422, Some("/role")),
        (r#"{"content": 1, "job": {"kind": "nobody"}}"#, 422, Some("/job/kind")),
        (r#"{"content": 1, "job": {"kind": "echo", "priority": "P10"}}"#, 422, Some("/job/priority")),
        (r#"{"content": 1, "job": {"kind": "echo", "timeout": 0.0}}"#, 422, Some("/job/timeout")),
        (r#"{"content": 1, "job": {"kind": "echo", "concurrency_key": "k"}}"#, 422, Some("/job/concurrency_key")),
        (r#"{"content": "\ud800"}"#, 422, Some("/content")),
        (r#"{"content": 1, "text": 2}"#, 422, Some("/text")),
    ] {
        let reply = say(&server, &id, &[], body).await;
        let problem = reply.json();
        assert_eq!((reply.status.as_u16(), problem["pointer"].as_str()), (status, pointer), "{body}: {problem}");
    }
    let large = format!(r#"{{"content": "{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(say(&server, &id, &[], &large).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let metadata = format!(r#"{{"metadata": "{}"}}"#, "x".repeat(16 << 10));
    assert_eq!(server.post("/v1/conversations", &metadata).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(messages(&server, &id, "").await["messages"], json!([]), "nothing was done");
    assert_eq!(server.get(&format!("/v1/conversations/{id}/messages?order=up")).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_conversation_that_is_full_says_so() {
    let limits = Limits { messages_per_conversation: 2, conversations_per_tenant: 1, ..Limits::default() };
    let server = Server::with(ApiSettings { keyless: true, ..ApiSettings::default() }, limits).await;
    let id = begin(&server).await;
    say(&server, &id, &[], r#"{"content": 1}"#).await;
    let full = say(&server, &id, &[], r#"{"content": 1, "job": {"kind": "echo"}}"#).await;
    assert_eq!(
        (full.status, &full.json()["type"]),
        (StatusCode::CONFLICT, &json!("urn:raincheck:problem:conversation-limit"))
    );
    assert_eq!(server.post("/v1/conversations", "{}").await.status, StatusCode::CONFLICT);
}
