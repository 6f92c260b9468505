use axum::http::{Method, StatusCode};
use raincheck_api::ApiSettings;
use raincheck_store::Scope;
use serde_json::{Value, json};

use super::{RESPONSES, call, create, ended, path};
use crate::support::Server;

/// Every field that the model of OpenAI's newest SDK, or that of Open Responses, insists on.
const FIELDS: [&str; 32] = [
    "id",
    "object",
    "created_at",
    "status",
    "background",
    "completed_at",
    "error",
    "incomplete_details",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "output",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "truncation",
    "usage",
    "user",
];

fn is_whole(response: &Value) {
    for field in FIELDS {
        assert!(response.get(field).is_some(), "{field} is missing: {response}");
    }
    assert!(response["created_at"].is_u64(), "whole seconds");
    assert!(response["output"].is_array() && response["tools"].is_array());
}

#[tokio::test]
async fn a_response_is_whole_from_the_first_moment() {
    let server = Server::dialects().await;
    let body = json!({
        "model": "m", "input": "wait", "background": true, "metadata": { "run": "7" }, "temperature": 0.10,
        "instructions": "be brief", "tools": [{ "type": "function", "name": "f", "parameters": {} }],
    });
    let reply = server.post(RESPONSES, &body.to_string()).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    let response = reply.json();
    is_whole(&response);
    assert!(response["id"].as_str().unwrap().starts_with("resp_"));
    assert_eq!((&response["status"], &response["output"]), (&json!("queued"), &json!([])));
    assert_eq!((&response["metadata"]["run"], &response["instructions"]), (&json!("7"), &json!("be brief")));
    assert_eq!(reply.header("location"), Some(path(&response, "").as_str()));
    assert!(reply.header("openai-poll-after-ms").unwrap().parse::<u64>().unwrap() >= 500);
    assert!(reply.header("x-request-id").unwrap().starts_with("req_"));

    server.until(&super::job(&response), "output").await;
    let running = server.get(&path(&response, "")).await;
    is_whole(&running.json());
    assert_eq!(running.json()["status"], "in_progress");
    assert!(running.header("openai-poll-after-ms").is_some());
    server.gate.notify_one();
    let response = ended(&server, &response).await;
    is_whole(&response);
    assert_eq!((&response["status"], &response["model"]), (&json!("completed"), &json!("served-1")));
    assert_eq!(response["output"][0]["content"][0]["text"], "ab");
    assert_eq!((&response["temperature"], &response["tools"][0]["name"]), (&json!(0.5), &json!("f")));
    assert_eq!(response["usage"]["input_tokens_details"]["cache_write_tokens"], 0);
    assert_eq!(response["metadata"]["run"], "7");
}

#[tokio::test]
async fn an_ended_response_says_who_served_it_and_not_when_to_ask_again() {
    let server = Server::dialects().await;
    let response = create(&server, "hello").await;
    ended(&server, &response).await;
    let reply = server.get(&path(&response, "?include[]=reasoning.encrypted_content")).await;
    assert_eq!(reply.header("raincheck-served-by"), Some("one/served-1"));
    assert_eq!(reply.header("openai-poll-after-ms"), None);
}

#[tokio::test]
async fn how_a_response_ended_is_kept() {
    let server = Server::dialects().await;
    let refused = ended(&server, &create(&server, "fail").await).await;
    is_whole(&refused);
    assert_eq!((&refused["status"], &refused["error"]["code"]), (&json!("failed"), &json!("image_parse_error")));
    let broken = ended(&server, &create(&server, "fail in the middle").await).await;
    assert_eq!((&broken["status"], &broken["error"]["code"]), (&json!("failed"), &json!("server_error")));
    assert_eq!(broken["output"][0]["content"][0]["text"], "half");
    assert_eq!(broken["output"][0]["status"], "incomplete");
    let cut = ended(&server, &create(&server, "incomplete").await).await;
    assert_eq!(cut["status"], "incomplete");
    assert_eq!(cut["incomplete_details"]["reason"], "max_output_tokens");
}

#[tokio::test]
async fn a_cancelled_response_stays_cancelled_and_a_completed_one_completed() {
    let server = Server::dialects().await;
    let response = create(&server, "wait").await;
    server.until(&super::job(&response), "output").await;
    for _ in 0..2 {
        let reply = call(&server, Method::POST, &path(&response, "/cancel"), &[], &Value::Null).await;
        assert_eq!((reply.status, &reply.json()["status"]), (StatusCode::OK, &json!("cancelled")), "{}", reply.text());
        is_whole(&reply.json());
    }
    server.gate.notify_one();
    assert_eq!(ended(&server, &response).await["status"], "cancelled");

    let response = create(&server, "hello").await;
    ended(&server, &response).await;
    let reply = call(&server, Method::POST, &path(&response, "/cancel"), &[], &Value::Null).await;
    assert_eq!((reply.status, &reply.json()["status"]), (StatusCode::OK, &json!("completed")));
}

#[tokio::test]
async fn a_deleted_response_is_gone_and_a_running_one_is_stopped_first() {
    let server = Server::dialects().await;
    let response = create(&server, "wait").await;
    server.until(&super::job(&response), "output").await;
    // The SDK sends a body with it, of which nothing is wanted.
    let headers = [("accept", "*/*")];
    let reply = call(&server, Method::DELETE, &path(&response, ""), &headers, &json!({})).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    assert_eq!(reply.json(), json!({ "id": response["id"], "object": "response", "deleted": true }));
    for (method, rest) in
        [(Method::GET, ""), (Method::DELETE, ""), (Method::POST, "/cancel"), (Method::GET, "?stream=true")]
    {
        assert_eq!(
            call(&server, method, &path(&response, rest), &[], &Value::Null).await.status,
            StatusCode::NOT_FOUND
        );
    }
}

#[tokio::test]
async fn what_a_response_was_asked_is_listed_page_by_page() {
    let server = Server::dialects().await;
    let input = json!([
        { "role": "user", "content": "one" },
        { "role": "assistant", "content": "two", "id": "msg_mine" },
        { "type": "function_call_output", "call_id": "c", "output": "1.10" },
    ]);
    let body = json!({ "model": "m", "background": true, "input": input });
    let response = server.post(RESPONSES, &body.to_string()).await.json();
    let page = server.get(&path(&response, "/input_items?order=asc&limit=2")).await.json();
    assert_eq!((&page["object"], &page["has_more"]), (&json!("list"), &json!(true)));
    assert_eq!(page["data"][0]["content"], json!([{ "type": "input_text", "text": "one" }]));
    assert_eq!((&page["data"][1]["id"], &page["last_id"]), (&json!("msg_mine"), &json!("msg_mine")));
    let rest = server.get(&path(&response, "/input_items?order=asc&after=msg_mine")).await.json();
    assert_eq!((&rest["data"][0]["call_id"], &rest["has_more"]), (&json!("c"), &json!(false)));
    let newest = server.get(&path(&response, "/input_items?limit=1")).await.json();
    assert_eq!(newest["data"][0]["call_id"], "c");
    let text = create(&server, "hello").await;
    let page = server.get(&path(&text, "/input_items")).await.json();
    assert_eq!(page["data"][0]["content"][0]["text"], "hello");
    assert_eq!(page["first_id"], page["data"][0]["id"]);
}

#[tokio::test]
async fn another_tenants_response_is_none() {
    let server = Server::dialects_with(ApiSettings::default()).await;
    let own = server.key("voice", &[Scope::Submit, Scope::Read], None).await;
    let other = server.key("other", &[Scope::Submit, Scope::Read], None).await;
    let body = json!({ "model": "m", "input": "hello", "background": true });
    let as_ = |key: &str| [("authorization".to_owned(), key.to_owned())];
    let send = async |key: &str, method: Method, path: &str, body: &Value| {
        let headers = as_(key);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        call(&server, method, path, &headers, body).await
    };
    let response = send(&own, Method::POST, RESPONSES, &body).await.json();
    for (method, rest) in [
        (Method::GET, ""),
        (Method::GET, "?stream=true"),
        (Method::GET, "/input_items"),
        (Method::POST, "/cancel"),
        (Method::DELETE, ""),
    ] {
        let reply = send(&other, method, &path(&response, rest), &Value::Null).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
        assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
    }
    assert_eq!(send(&own, Method::GET, &path(&response, ""), &Value::Null).await.status, StatusCode::OK);
    // Jobs of other kinds are no Responses.
    let chat = [("prefer", "respond-async"), ("authorization", own.as_str())];
    let job = call(&server, Method::POST, "/openai/v1/chat/completions", &chat, &json!({ "model": "m" })).await.id();
    let id = job.replace("job_", "resp_");
    assert_eq!(send(&own, Method::GET, &format!("{RESPONSES}/{id}"), &Value::Null).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_response_comes_after_what_the_upstream_calls_the_one_before() {
    let server = Server::dialects().await;
    let first = create(&server, "hello").await;
    ended(&server, &first).await;
    let body = json!({ "model": "m", "input": "more", "background": true, "previous_response_id": first["id"] });
    let second = server.post(RESPONSES, &body.to_string()).await.json();
    assert_eq!(second["previous_response_id"], first["id"]);
    let input = server.engine.store().input(super::job(&second).parse().unwrap()).await.unwrap().unwrap();
    let input: Value = input.parse().unwrap();
    assert_eq!((&input["previous_response_id"], &input["upstream"]), (&json!("resp_theirs"), &json!("one")));
    assert!(input.get("background").is_none());
}

#[tokio::test]
async fn a_response_comes_after_none_of_another_tenants() {
    let server = Server::dialects_with(ApiSettings::default()).await;
    let scopes = [Scope::Submit, Scope::Read];
    let (own, other) = (server.key("voice", &scopes, None).await, server.key("other", &scopes, None).await);
    let send = async |key: &str, body: Value| {
        let headers = [("authorization", key), ("prefer", "respond-async, wait=10")];
        call(&server, Method::POST, RESPONSES, &headers, &body).await
    };
    let first = send(&own, json!({ "model": "m", "input": "hello" })).await.json();
    for background in [true, false] {
        let after =
            json!({ "model": "m", "input": "x", "background": background, "previous_response_id": first["id"] });
        assert!(send(&own, after.clone()).await.status.is_success());
        let refused = send(&other, after).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["code"]),
            (StatusCode::BAD_REQUEST, &json!("previous_response_not_found"))
        );
    }
}

#[tokio::test]
async fn what_else_clients_say_is_taken() {
    let server = Server::dialects().await;
    let body = json!({
        "model": "m", "input": "hello", "background": true, "stream": true, "include": ["reasoning.encrypted_content"],
        "stream_options": { "include_obfuscation": false }, "background_options": { "continuation_id": "c" },
    });
    let reply = server.post(RESPONSES, &body.to_string()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let response = super::events(reply.text())[0]["response"].clone();
    let input = server.engine.store().input(super::job(&response).parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(input, json!({ "model": "m", "input": "hello", "include": ["reasoning.encrypted_content"] }).into());
    let asked = "include[]=reasoning.encrypted_content&include[]=message.output_text.logprobs&include_obfuscation=true";
    assert_eq!(server.get(&path(&response, &format!("?{asked}"))).await.json()["status"], "completed");
    let told = super::told(&server, &response, &format!("?{asked}&stream=true&starting_after=3")).await;
    assert_eq!(told[0]["sequence_number"], 4);
    assert_eq!(server.get(&path(&response, &format!("/input_items?{asked}"))).await.status, StatusCode::OK);
    // One SDK sends a body with DELETE.
    let deleted = call(&server, Method::DELETE, &path(&response, ""), &[("accept", "*/*")], &json!({})).await;
    assert_eq!(deleted.json(), json!({ "id": response["id"], "object": "response", "deleted": true }));
}

#[tokio::test]
async fn a_response_that_is_not_to_be_stored_is_kept_for_ten_minutes() {
    let server = Server::dialects().await;
    for (store, minutes) in [(json!(false), 10), (json!(true), 7 * 24 * 60), (json!(null), 7 * 24 * 60)] {
        let body = json!({ "model": "m", "input": "hello", "background": true, "store": store });
        let response = server.post(RESPONSES, &body.to_string()).await.json();
        ended(&server, &response).await;
        let job = server.engine.get(super::job(&response).parse().unwrap(), None).await.unwrap().unwrap();
        let kept = job.life.expires_at.unwrap().since(job.life.finished_at.unwrap());
        assert_eq!(kept.as_secs(), minutes * 60, "{store}");
    }
}

#[tokio::test]
async fn a_window_of_hours_is_a_deadline_and_less_urgent() {
    let server = Server::dialects().await;
    let body = |window: &str| json!({ "model": "m", "input": "hello", "background": true, "background_options": { "completion_window": window } });
    let response = server.post(RESPONSES, &body("2h").to_string()).await.json();
    let job = server.get(&format!("/v1/jobs/{}", super::job(&response))).await.json();
    assert_eq!(job["priority"], "P6");
    assert!(job["deadline"].is_string(), "{job}");
    let mut streamed = body("8h");
    streamed["stream"] = json!(true);
    for wrong in [body("3h"), streamed] {
        let reply = server.post(RESPONSES, &wrong.to_string()).await;
        assert_eq!(
            (reply.status, &reply.json()["error"]["param"]),
            (StatusCode::BAD_REQUEST, &json!("background_options"))
        );
    }
}
