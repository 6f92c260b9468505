use async_trait::async_trait;
use raincheck_core::{
    Conversation, ConversationId, JobKey, Json, Message, Problem, ProblemType, Role, Summary, Tenant, Time,
};

use crate::StoreError;

/// How many bytes the content of a message may have, as JSON text: 1 MiB. A job's result that becomes an answer may have more.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// How many bytes the metadata of a conversation or message may have, as JSON text: 16 KiB.
pub const METADATA_BYTES_MAX: usize = 16 << 10;
/// A page of messages ends after about so many bytes.
pub(crate) const PAGE_BYTES: usize = 1 << 20;
/// Why the jobs of a deleted conversation are cancelled.
pub const CONVERSATION_DELETED: &str = "its conversation was deleted";
/// How many summaries an attempt may leave. Those beyond are dropped.
pub const SUMMARIES_MAX: usize = 16;

/// Conversations: messages of a tenant, in order. A part of every [`crate::Store`].
///
/// A turn (the user's message, the answer that is to come, and the job that gives it) is stored by [`crate::Store::accept`] in
/// one transaction; the answer is settled in the transaction that ends the job, however it ends. What is deleted stays so: the
/// end of a job writes nothing into a conversation that is gone.
///
/// Wherever a tenant is asked for, `Some` hides the conversations of all other tenants, and `None` shows every one.
#[async_trait]
pub trait Conversations {
    /// Begins a conversation without messages.
    async fn create_conversation(
        &self,
        new: NewConversation,
        now: Time,
    ) -> Result<Result<Conversation, ConversationRefusal>, StoreError>;

    /// A conversation, without its messages.
    async fn conversation(
        &self,
        id: ConversationId,
        tenant: Option<&Tenant>,
    ) -> Result<Option<Conversation>, StoreError>;

    /// Up to `max` conversations, the newest first, that are older than `before`.
    async fn conversations(
        &self,
        tenant: Option<&Tenant>,
        before: Option<JobKey>,
        max: usize,
    ) -> Result<ConversationsPage, StoreError>;

    /// Deletes a conversation with its messages and summaries, and cancels the jobs that were to answer in it; whether there was
    /// one.
    async fn delete_conversation(
        &self,
        id: ConversationId,
        tenant: Option<&Tenant>,
        now: Time,
    ) -> Result<bool, StoreError>;

    /// Adds a message that nobody is to answer.
    async fn append_message(
        &self,
        new: NewMessage,
        now: Time,
    ) -> Result<Result<Message, ConversationRefusal>, StoreError>;

    /// Messages of a conversation, about a mebibyte of them at most (but at least one); `None` if there is no such
    /// conversation.
    async fn messages(&self, read: MessagesRead) -> Result<Option<MessagesPage>, StoreError>;

    /// The newest summary that covers no message beyond this number; `None` if there is none, or no such conversation.
    async fn summary(
        &self,
        id: ConversationId,
        tenant: Option<&Tenant>,
        up_to: u32,
    ) -> Result<Option<Summary>, StoreError>;
}

/// A conversation to begin.
#[derive(Clone, Debug)]
pub struct NewConversation {
    /// Whose.
    pub tenant: Tenant,
    /// What its owner keeps with it; up to [`METADATA_BYTES_MAX`].
    pub metadata: Option<Json>,
    /// Chance, for the id.
    pub random: u64,
}

/// A message to add.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Where.
    pub conversation: ConversationId,
    /// Whose the conversation is, if it must be theirs.
    pub tenant: Option<Tenant>,
    /// Who says it.
    pub role: Role,
    /// What it says; up to [`MESSAGE_BYTES_MAX`].
    pub content: Json,
    /// What its sender keeps with it; up to [`METADATA_BYTES_MAX`].
    pub metadata: Option<Json>,
    /// Chance, for the id.
    pub random: u64,
}

/// What the user says, for a job to answer.
#[derive(Clone, Debug)]
pub struct NewTurn {
    /// Where: a conversation of the job's tenant, or a new one.
    pub conversation: Option<ConversationId>,
    /// What the user says; up to [`MESSAGE_BYTES_MAX`].
    pub content: Json,
    /// What its sender keeps with the message; up to [`METADATA_BYTES_MAX`].
    pub metadata: Option<Json>,
    /// Chance, for the ids of the conversation, the message and the answer.
    pub random: [u64; 3],
}

/// A summary to keep.
#[derive(Clone, Debug)]
pub struct NewSummary {
    /// Of which conversation, which must be of the job's tenant.
    pub conversation: ConversationId,
    /// The number of the last message that it covers. If there is a summary for it already, that one stays.
    pub up_to: u32,
    /// What it says; up to [`MESSAGE_BYTES_MAX`].
    pub content: Json,
}

/// Why nothing was added to a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConversationRefusal {
    /// There is no such conversation for the tenant.
    Unknown,
    /// It has as many messages as it may: this many.
    Full(usize),
    /// The tenant has as many conversations as it may: this many.
    TooMany(usize),
}

impl ConversationRefusal {
    /// What sort of problem it is to whoever asked.
    #[must_use]
    pub fn problem_type(self) -> ProblemType {
        match self {
            Self::Unknown => ProblemType::NOT_FOUND,
            Self::Full(_) | Self::TooMany(_) => ProblemType::CONVERSATION_LIMIT,
        }
    }

    /// What whoever asked is told.
    #[must_use]
    pub fn problem(self) -> Problem {
        let detail = match self {
            Self::Unknown => "there is no such conversation, or it is not yours".to_owned(),
            Self::Full(limit) => format!("a conversation may have {limit} messages; begin a new one"),
            Self::TooMany(limit) => {
                format!("a tenant may have {limit} conversations; delete those that are no longer needed")
            }
        };
        Problem::new(self.problem_type(), detail)
    }
}

/// Which messages to read.
#[derive(Clone, Debug)]
pub struct MessagesRead {
    /// Of which conversation.
    pub conversation: ConversationId,
    /// Whose the conversation is, if it must be theirs.
    pub tenant: Option<Tenant>,
    /// In which order.
    pub order: Order,
    /// Only those that come after the message with this number, in that order.
    pub cursor: Option<u32>,
    /// How many at most.
    pub max: usize,
}

/// An order of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As they came.
    #[default]
    OldestFirst,
    /// The last that came first.
    NewestFirst,
}

/// A page of messages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MessagesPage {
    /// The messages.
    pub messages: Vec<Message>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<u32>,
}

impl MessagesRead {
    /// The numbers that may be on the page, in a conversation of so many messages: from the first up to and with the last.
    #[must_use]
    pub fn numbers(&self, messages: u32) -> std::ops::RangeInclusive<u32> {
        match self.order {
            Order::OldestFirst => self.cursor.map_or(1, |cursor| cursor.saturating_add(1))..=messages,
            Order::NewestFirst => 1..=self.cursor.map_or(messages, |cursor| cursor.saturating_sub(1).min(messages)),
        }
    }

    /// Makes a page of messages that come in its order, and have such numbers.
    ///
    /// # Errors
    /// Those of the messages.
    pub fn page<E>(&self, messages: u32, coming: impl Iterator<Item = Result<Message, E>>) -> Result<MessagesPage, E> {
        let (mut page, mut bytes) = (MessagesPage::default(), 0);
        for message in coming.take(self.max) {
            let message = message?;
            bytes += message.bytes();
            page.messages.push(message);
            if bytes >= PAGE_BYTES {
                break;
            }
        }
        let last = page.messages.last().map(|message| message.number);
        page.next = last.filter(|last| match self.order {
            Order::OldestFirst => *last < messages,
            Order::NewestFirst => *last > 1,
        });
        Ok(page)
    }
}

/// A page of conversations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConversationsPage {
    /// The conversations, newest first.
    pub conversations: Vec<Conversation>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<JobKey>,
}
