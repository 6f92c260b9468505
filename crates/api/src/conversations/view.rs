use std::borrow::Cow;

use raincheck_core::{
    Conversation, ConversationId, JobId, Json, Message, MessageId, MessageState, Problem, Role, Summary, Tenant, Time,
};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::jobs::ErrorSchema;

/// A conversation as its readers see it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Conversation")]
pub(crate) struct ConversationView<'a> {
    /// Its name.
    #[schemars(with = "String", extend("pattern" = "^conv_[0-9a-f]{32}$"))]
    id: ConversationId,
    /// Whose it is.
    #[schemars(with = "String")]
    tenant: &'a Tenant,
    /// What you keep with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    metadata: Option<&'a Json>,
    /// How many messages it has; they are numbered from 1 without gaps.
    messages: u32,
    /// How many of them are of the user.
    turns: u32,
    /// The newest summary. Left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<SummaryView>,
    /// When it was begun.
    #[schemars(with = "String", extend("format" = "date-time"))]
    created_at: Time,
    /// When a message of it last came or changed.
    #[schemars(with = "String", extend("format" = "date-time"))]
    updated_at: Time,
    /// Where to go from it.
    links: Links,
}

/// What a conversation says up to a message, in short.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Summary")]
struct SummaryView {
    /// The number of the last message that it covers.
    up_to: u32,
    /// What it says.
    #[schemars(with = "serde_json::Value")]
    content: Json,
    /// When it was made.
    #[schemars(with = "String", extend("format" = "date-time"))]
    created_at: Time,
}

/// Where to go from a conversation.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ConversationLinks")]
struct Links {
    /// The conversation.
    #[serde(rename = "self")]
    #[schemars(with = "String")]
    conversation: Link,
    /// Its messages.
    #[schemars(with = "String")]
    messages: Link,
}

struct Link(ConversationId, &'static str);

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("/v1/conversations/{}{}", self.0, self.1))
    }
}

impl<'a> ConversationView<'a> {
    /// A conversation as it is.
    pub(crate) fn new(of: &'a Conversation) -> Self {
        let Conversation { id, tenant, metadata, messages, turns, created_at, updated_at } = of;
        Self {
            id: *id,
            tenant,
            metadata: metadata.as_ref(),
            messages: *messages,
            turns: *turns,
            summary: None,
            created_at: *created_at,
            updated_at: *updated_at,
            links: Links { conversation: Link(*id, ""), messages: Link(*id, "/messages") },
        }
    }

    /// With its newest summary, if it has one.
    pub(crate) fn with_summary(self, summary: Option<Summary>) -> Self {
        let view = |Summary { up_to, content, created_at }| SummaryView { up_to, content, created_at };
        Self { summary: summary.map(view), ..self }
    }
}

/// A message of a conversation.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Message")]
pub(crate) struct MessageView<'a> {
    /// Its name.
    #[schemars(with = "String", extend("pattern" = "^msg_[0-9a-f]{32}$"))]
    id: MessageId,
    /// Its place in the conversation, from 1.
    number: u32,
    /// Who says it.
    #[schemars(with = "RoleSchema")]
    role: Role,
    /// Where it is. An answer is `processing` until its job has ended.
    #[schemars(with = "MessageStateSchema")]
    state: MessageState,
    /// What it says, once it is completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    content: Option<&'a Json>,
    /// Why it says nothing, if its job failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<ErrorSchema>")]
    error: Option<Cow<'a, Problem>>,
    /// The job that gives it, or that it gave rise to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    job: Option<JobId>,
    /// What its sender keeps with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    metadata: Option<&'a Json>,
    /// When it came.
    #[schemars(with = "String", extend("format" = "date-time"))]
    created_at: Time,
    /// When it left `processing`, or came.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    finished_at: Option<Time>,
}

impl<'a> MessageView<'a> {
    /// A message as it is.
    pub(crate) fn new(of: &'a Message) -> Self {
        let Message { id, number, role, state, content, error, job, metadata, created_at, finished_at } = of;
        Self {
            id: *id,
            number: *number,
            role: *role,
            state: *state,
            content: content.as_ref(),
            error: error.as_ref().map(Cow::Borrowed),
            job: *job,
            metadata: metadata.as_ref(),
            created_at: *created_at,
            finished_at: *finished_at,
        }
    }
}

/// Who says a message.
#[derive(JsonSchema)]
#[schemars(rename = "Role", rename_all = "snake_case")]
#[expect(dead_code, reason = "the schema of raincheck_core::Role, which knows no schemas")]
pub(crate) enum RoleSchema {
    User,
    Assistant,
    System,
}

/// The words for the states of a message.
#[derive(JsonSchema)]
#[schemars(rename = "MessageState", rename_all = "snake_case")]
#[expect(dead_code, reason = "the schema of raincheck_core::MessageState, which knows no schemas")]
enum MessageStateSchema {
    Processing,
    Completed,
    Failed,
    Cancelled,
    Expired,
}
