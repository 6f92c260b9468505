//! What all doors of other APIs have in common.

use axum::http::Method;

use crate::support::Server;

/// Whoever speaks of predictions knows of no jobs.
#[tokio::test]
async fn what_is_not_there_is_told_in_the_word_of_the_dialect() {
    let server = Server::dialects().await;
    let digits = "019c5a3e0f4b7c3a9d2b1f6a0e8c7d11";
    let (get, post, put, delete) = (Method::GET, Method::POST, Method::PUT, Method::DELETE);
    for (method, path, word) in [
        (&get, format!("/openai/v1/responses/resp_{digits}"), "response"),
        (&get, format!("/openai/v1/responses/resp_{digits}/input_items"), "response"),
        (&post, format!("/openai/v1/responses/resp_{digits}/cancel"), "response"),
        (&delete, format!("/openai/v1/responses/resp_{digits}"), "response"),
        (&get, format!("/openai/v1/chat/completions/chatcmpl-{digits}"), "chat completion"),
        (&get, format!("/openai/v1/batches/batch_{digits}"), "batch"),
        (&post, format!("/openai/v1/batches/batch_{digits}/cancel"), "batch"),
        (&get, format!("/openai/v1/files/file-{digits}"), "file"),
        (&get, format!("/anthropic/v1/messages/msg_{digits}"), "message"),
        (&get, format!("/anthropic/v1/messages/batches/msgbatch_{digits}"), "message batch"),
        (&get, format!("/anthropic/v1/messages/batches/msgbatch_{digits}/results"), "message batch"),
        (&post, format!("/anthropic/v1/messages/batches/msgbatch_{digits}/cancel"), "message batch"),
        (&delete, format!("/anthropic/v1/messages/batches/msgbatch_{digits}"), "message batch"),
        (&get, format!("/fal/fal-ai/flux/requests/{digits}/status"), "request"),
        (&get, format!("/fal/fal-ai/flux/requests/{digits}/status/stream"), "request"),
        (&get, format!("/fal/fal-ai/flux/requests/{digits}"), "request"),
        (&put, format!("/fal/fal-ai/flux/requests/{digits}/cancel"), "request"),
        (&get, format!("/replicate/v1/predictions/{digits}"), "prediction"),
        (&get, format!("/replicate/v1/predictions/{digits}/stream"), "prediction"),
        (&post, format!("/replicate/v1/predictions/{digits}/cancel"), "prediction"),
    ] {
        let reply = server.call(method.clone(), &path, &[], "").await;
        assert_eq!(reply.status.as_u16(), 404, "{method} {path}: {}", reply.text());
        let told = reply.text().to_lowercase();
        assert!(told.contains(word) && !told.contains("job"), "{method} {path}: {told}");
    }
}
