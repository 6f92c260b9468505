use raincheck_core::ProblemType;
use raincheck_store::Scope;
use serde_json::json;

use super::super::operation::Operation;

const CONVERSATION_ID: &str = "^conv_[0-9a-f]{32}$";

/// The operations on conversations.
pub(super) fn conversing() -> Vec<Operation> {
    let read = |path, id, summary| Operation::new("get", path, id, summary).scope(Scope::Read);
    let change = |method, path, id, summary| Operation::new(method, path, id, summary).scope(Scope::Submit);
    let of = |operation: Operation| operation.of("id", CONVERSATION_ID, "The conversation.");
    let whole = json!({ "type": "integer", "minimum": 1 });
    vec![
        change("post", "/v1/conversations", "createConversation", "Begins a conversation")
            .body("ConversationRequest", false, json!({ "plain": { "value": { "metadata": { "title": "Help" } } } }))
            .answer(201, "Conversation", "The conversation")
            .replies_header("Location", "Where the conversation is.")
            .problems(&[ProblemType::CONVERSATION_LIMIT]),
        read("/v1/conversations", "listConversations", "Lists conversations, newest first")
            .query(
                "cursor",
                json!({ "type": "string", "pattern": "^c[0-9a-f]{1,15}$" }),
                "The `next` of the page before.",
            )
            .query("limit", whole.clone(), "Conversations on the page at most; never more than 1000.")
            .answer(200, "ConversationsPage", "A page of conversations"),
        of(read("/v1/conversations/{id}", "getConversation", "A conversation with its newest summary"))
            .answer(200, "Conversation", "The conversation"),
        of(change("delete", "/v1/conversations/{id}", "deleteConversation", "Deletes a conversation, cancels its jobs"))
            .answer_with(204, json!({ "description": "It is deleted" })),
        of(read("/v1/conversations/{id}/messages", "listMessages", "The messages of a conversation"))
            .query(
                "order",
                json!({ "type": "string", "enum": ["asc", "desc"] }),
                "`asc`, as they came, if left out; `desc`: the last first.",
            )
            .query("cursor", json!({ "type": "integer", "minimum": 0 }), "The `next` of the page before.")
            .query("limit", whole, "Messages on the page at most; never more than 1000.")
            .answer(200, "MessagesPage", "A page of messages"),
        of(change("post", "/v1/conversations/{id}/messages", "say", "Adds a message, with a job that answers it"))
            .header(
                "Idempotency-Key",
                json!({ "type": "string", "minLength": 1, "maxLength": 255 }),
                "Your own name for a request with a job. Repeated with the same body it gives the same job, with another 422.",
            )
            .header(
                "Prefer",
                json!({ "type": "string", "examples": ["wait=10"] }),
                "`wait=N`: with a job, answer once it has ended, but within N seconds.",
            )
            .body(
                "MessageRequest",
                true,
                json!({
                    "turn": { "value": { "content": "Hello?", "job": { "kind": "echo", "input": { "text": "Hello!" } } } },
                    "alone": { "value": { "role": "system", "content": "Be brief." } },
                }),
            )
            .answer(200, "Job", "The job, which ended while you waited as preferred")
            .answer(202, "Job", "The job is accepted; its `turn` names the message and the answer to come")
            .links()
            .answer(201, "Message", "The message, which no job answers")
            .problems(&[
                ProblemType::CONVERSATION_LIMIT,
                ProblemType::INVALID_INPUT,
                ProblemType::UNKNOWN_KIND,
                ProblemType::PATH_NOT_FOUND,
                ProblemType::PATH_UNUSABLE,
                ProblemType::PATH_FORBIDDEN,
                ProblemType::IDEMPOTENCY_KEY_REUSED,
                ProblemType::QUOTA_REACHED,
            ]),
    ]
}
