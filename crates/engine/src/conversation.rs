use raincheck_core::{ConversationId, Json, Message, MessageId, Problem, ProblemType, Summary, Tenant, Turn};
use raincheck_store::{
    MESSAGE_BYTES_MAX, METADATA_BYTES_MAX, MessagesRead, NewSummary, NewTurn, Order, SUMMARIES_MAX, Store, StoreError,
};

use crate::{Chance, Context, Failure};

/// How many messages before its own a handler is given, unless it asks for another number.
pub const MESSAGES_BEFORE: usize = 32;
/// How many messages a handler is given at most.
pub const MESSAGES_READ_MAX: usize = 256;
/// A handler is given no more messages once they have about so many bytes: 4 MiB.
const BYTES_READ_MAX: usize = 4 << 20;

/// What the user says in a conversation, for a job to answer.
#[derive(Clone, Debug)]
pub struct TurnWish {
    /// Where: a conversation of the submission's tenant, or a new one, which the job's [`Turn`] then names.
    pub conversation: Option<ConversationId>,
    /// What the user says; up to [`MESSAGE_BYTES_MAX`].
    pub content: Json,
    /// What the sender keeps with the message; up to [`METADATA_BYTES_MAX`].
    pub metadata: Option<Json>,
}

impl TurnWish {
    /// What is wrong with it, if something is.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        check_content(&self.content)?;
        self.metadata.as_ref().map_or(Ok(()), check_metadata)
    }

    pub(crate) fn new_turn(self, chance: &Chance) -> NewTurn {
        let Self { conversation, content, metadata } = self;
        NewTurn { conversation, content, metadata, random: std::array::from_fn(|_| chance.bits()) }
    }
}

/// Whether a message may have this content.
///
/// # Errors
/// If it is larger than [`MESSAGE_BYTES_MAX`].
pub fn check_content(content: &Json) -> Result<(), Problem> {
    check_size(content, MESSAGE_BYTES_MAX, "/content", "the content of a message")
}

/// Whether a message or conversation may have this metadata.
///
/// # Errors
/// If it is larger than [`METADATA_BYTES_MAX`].
pub fn check_metadata(metadata: &Json) -> Result<(), Problem> {
    check_size(metadata, METADATA_BYTES_MAX, "/metadata", "the metadata")
}

fn check_size(json: &Json, max: usize, pointer: &str, what: &str) -> Result<(), Problem> {
    if json.as_str().len() <= max {
        return Ok(());
    }
    let detail = format!("{what} may have {max} bytes, and has {}", json.as_str().len());
    Err(Problem::new(ProblemType::BODY_TOO_LARGE, detail).at(pointer))
}

/// The conversation in which a job answers, as far as the job's handler is concerned: up to the message that it answers.
#[derive(Clone, Debug, PartialEq)]
pub struct ConversationView {
    /// Its name.
    pub id: ConversationId,
    /// The answer that is to be given.
    pub answer: MessageId,
    /// The message to answer.
    pub message: Message,
    /// The last messages before it, oldest first. All answers among them are settled, some as failed or cancelled.
    pub before: Vec<Message>,
    /// The newest summary of messages before it.
    pub summary: Option<Summary>,
    /// How many messages of the user there are up to and with this one.
    pub turns: u32,
    /// How many messages there are up to and with the answer, whose number this is.
    pub messages: u32,
}

/// What the handlers of jobs that have to do with conversations can ask for and say.
impl Context {
    /// The conversation that the job has a turn of, with up to [`MESSAGES_BEFORE`] messages before that; `None` if it has none.
    ///
    /// # Errors
    /// If the conversation cannot be read, or was deleted.
    pub async fn conversation(&self) -> Result<Option<ConversationView>, Failure> {
        self.conversation_with(MESSAGES_BEFORE).await
    }

    /// As [`Context::conversation`], with up to `before` messages before the turn, and never more than
    /// [`MESSAGES_READ_MAX`] or about 4 MiB of them.
    ///
    /// # Errors
    /// As of [`Context::conversation`].
    pub async fn conversation_with(&self, before: usize) -> Result<Option<ConversationView>, Failure> {
        let Some(turn) = self.job().spec.turn else { return Ok(None) };
        let Turn { conversation: id, answer, number, turn: turns, .. } = turn;
        let wanted = before.min(MESSAGES_READ_MAX) + 1;
        let mut before = self.read(id, Order::NewestFirst, Some(number.saturating_add(1)), wanted).await?;
        before.reverse();
        let message = before.pop().filter(|message| message.number == number).ok_or_else(deleted)?;
        let summary = self.summary_of(id, number - 1).await?;
        let messages = turn.answer_number();
        Ok(Some(ConversationView { id, answer, message, before, summary, turns, messages }))
    }

    /// The messages of a conversation of the job's tenant after number `after`, up to and with number `up_to`: the first of
    /// them, up to [`MESSAGES_READ_MAX`] or about 4 MiB. For jobs that have no turn of it, such as one that summarizes it.
    ///
    /// # Errors
    /// If the conversation cannot be read, or there is no such.
    pub async fn messages_of(&self, id: ConversationId, after: u32, up_to: u32) -> Result<Vec<Message>, Failure> {
        let wanted = usize::try_from(up_to.saturating_sub(after)).unwrap_or(usize::MAX).min(MESSAGES_READ_MAX);
        let mut messages = self.read(id, Order::OldestFirst, Some(after), wanted).await?;
        messages.retain(|message| message.number <= up_to);
        Ok(messages)
    }

    /// The newest summary of a conversation of the job's tenant that covers no message beyond number `up_to`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn summary_of(&self, id: ConversationId, up_to: u32) -> Result<Option<Summary>, Failure> {
        self.store().summary(id, Some(self.tenant()), up_to).await.map_err(|error| unread(&error))
    }

    /// Says what the answer of the job's turn is, if this attempt completes the job; without it the job's result is the answer.
    /// Said again, the last counts.
    ///
    /// # Errors
    /// If the job has no turn, or the content is larger than [`MESSAGE_BYTES_MAX`].
    pub fn reply(&self, content: Json) -> Result<(), Failure> {
        if self.job().spec.turn.is_none() {
            let detail = "the job has no turn of a conversation, so there is no answer to give";
            return Err(Failure::fatal(Problem::new(ProblemType::HANDLER_FAILED, detail)));
        }
        check_content(&content)?;
        self.running.reply(content);
        Ok(())
    }

    /// Keeps a summary of a conversation of the job's tenant, of all messages up to and with number `up_to`, if this attempt
    /// completes the job. There is one summary for each `up_to`: the first that is kept stays. That of a conversation which was
    /// deleted meanwhile is dropped.
    ///
    /// # Errors
    /// If the content is larger than [`MESSAGE_BYTES_MAX`], or the attempt has left [`SUMMARIES_MAX`] summaries already.
    pub fn summarize(&self, conversation: ConversationId, up_to: u32, content: Json) -> Result<(), Failure> {
        check_content(&content)?;
        if self.running.summarize(NewSummary { conversation, up_to, content }) {
            return Ok(());
        }
        let detail = format!("an attempt may leave {SUMMARIES_MAX} summaries");
        Err(Failure::fatal(Problem::new(ProblemType::HANDLER_FAILED, detail)))
    }

    /// Reads on, page by page, until there are so many messages or they are too large.
    async fn read(
        &self,
        conversation: ConversationId,
        order: Order,
        mut cursor: Option<u32>,
        wanted: usize,
    ) -> Result<Vec<Message>, Failure> {
        let (mut messages, mut bytes) = (Vec::new(), 0);
        loop {
            let max = wanted - messages.len();
            let read = MessagesRead { conversation, tenant: Some(self.tenant().clone()), order, cursor, max };
            let page = self.store().messages(read).await.map_err(|error| unread(&error))?.ok_or_else(deleted)?;
            bytes += page.messages.iter().map(Message::bytes).sum::<usize>();
            messages.extend(page.messages);
            cursor = page.next;
            if cursor.is_none() || messages.len() >= wanted || bytes >= BYTES_READ_MAX {
                return Ok(messages);
            }
        }
    }

    fn store(&self) -> &dyn Store {
        &**self.engine.store()
    }

    fn tenant(&self) -> &Tenant {
        &self.job().spec.tenant
    }
}

fn deleted() -> Failure {
    Failure::fatal(Problem::new(ProblemType::NOT_FOUND, "there is no such conversation any more"))
}

fn unread(error: &StoreError) -> Failure {
    Failure::transient(format!("failed to read the conversation: {error}"))
}
