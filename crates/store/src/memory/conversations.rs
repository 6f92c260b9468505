use std::collections::BTreeMap;

use async_trait::async_trait;
use raincheck_core::{
    Command, Conversation, ConversationId, JobId, JobKey, Json, Message, MessageId, MessageState, Minter, Outcome,
    Role, Summary, Tenant, Time, Turn,
};

use super::{Inner, MemoryStore};
use crate::{
    CONVERSATION_DELETED, Change, ConversationRefusal, Conversations, ConversationsPage, Limits, MessagesPage,
    MessagesRead, NewConversation, NewMessage, NewSummary, NewTurn, Order, SUMMARIES_MAX, StoreError,
};

/// The conversations of the model.
#[derive(Debug, Default)]
pub(super) struct Kept(BTreeMap<ConversationId, Talk>);

#[derive(Debug)]
struct Talk {
    conversation: Conversation,
    messages: Vec<Message>,
    summaries: BTreeMap<u32, Summary>,
}

impl Talk {
    fn begin(conversation: Conversation) -> Self {
        Self { conversation, messages: Vec::new(), summaries: BTreeMap::new() }
    }

    fn belongs_to(&self, tenant: Option<&Tenant>) -> bool {
        tenant.is_none_or(|tenant| *tenant == self.conversation.tenant)
    }
}

impl Kept {
    fn find(&self, id: ConversationId, tenant: Option<&Tenant>) -> Option<&Talk> {
        self.0.get(&id).filter(|talk| talk.belongs_to(tenant))
    }

    fn room(&self, tenant: &Tenant, limits: &Limits) -> Result<(), ConversationRefusal> {
        let limit = limits.conversations_per_tenant;
        let has = self.0.values().filter(|talk| talk.belongs_to(Some(tenant))).count();
        if has >= limit { Err(ConversationRefusal::TooMany(limit)) } else { Ok(()) }
    }

    /// Whether so many messages more may be added.
    fn room_in(
        &self,
        id: ConversationId,
        tenant: Option<&Tenant>,
        more: usize,
        limits: &Limits,
    ) -> Result<(), ConversationRefusal> {
        let talk = self.find(id, tenant).ok_or(ConversationRefusal::Unknown)?;
        let limit = limits.messages_per_conversation;
        if talk.messages.len() + more > limit { Err(ConversationRefusal::Full(limit)) } else { Ok(()) }
    }

    pub(super) fn create(
        &mut self,
        new: NewConversation,
        limits: &Limits,
        minter: &mut Minter,
        now: Time,
    ) -> Result<Conversation, ConversationRefusal> {
        self.room(&new.tenant, limits)?;
        let id = ConversationId::mint(minter, now, new.random);
        let conversation = Conversation::new(id, new.tenant, new.metadata, now);
        self.0.insert(id, Talk::begin(conversation.clone()));
        Ok(conversation)
    }

    /// Why a turn cannot be taken, if so.
    pub(super) fn refused(&self, turn: &NewTurn, tenant: &Tenant, limits: &Limits) -> Option<ConversationRefusal> {
        let room = match turn.conversation {
            Some(id) => self.room_in(id, Some(tenant), 2, limits),
            None => self.room(tenant, limits),
        };
        room.err()
    }

    /// Takes a turn that is not refused.
    pub(super) fn turn(&mut self, new: NewTurn, tenant: &Tenant, job: JobId, minter: &mut Minter, now: Time) -> Turn {
        let [random, of_message, of_answer] = new.random;
        let id = new.conversation.unwrap_or_else(|| ConversationId::mint(minter, now, random));
        let begin = || Talk::begin(Conversation::new(id, tenant.clone(), None, now));
        let talk = self.0.entry(id).or_insert_with(begin);
        let (message, answer) = (MessageId::at(now, of_message), MessageId::at(now, of_answer));
        let number = talk.conversation.count(Role::User, now);
        let said = Message::said(message, number, Role::User, new.content, now);
        talk.messages.push(Message { job: Some(job), metadata: new.metadata, ..said });
        let turn = talk.conversation.turns;
        let answer_number = talk.conversation.count(Role::Assistant, now);
        talk.messages.push(Message::awaited(answer, answer_number, job, now));
        Turn { conversation: id, message, answer, number, turn }
    }

    /// Settles an answer, if it is still there.
    pub(super) fn end(&mut self, turn: &Turn, outcome: &Outcome, reply: Option<&Json>, now: Time) {
        let Some(talk) = self.0.get_mut(&turn.conversation) else { return };
        talk.conversation.updated_at = talk.conversation.updated_at.max(now);
        let answer = talk.messages.iter_mut().find(|message| message.number == turn.answer_number());
        answer.into_iter().for_each(|answer| answer.end(outcome, reply, now));
    }

    pub(super) fn summarize(&mut self, summaries: Vec<NewSummary>, tenant: &Tenant, now: Time) {
        for NewSummary { conversation, up_to, content } in summaries.into_iter().take(SUMMARIES_MAX) {
            let talk = self.0.get_mut(&conversation).filter(|talk| talk.belongs_to(Some(tenant)));
            let Some(talk) = talk.filter(|talk| (1..=talk.conversation.messages).contains(&up_to)) else { continue };
            talk.summaries.entry(up_to).or_insert(Summary { up_to, content, created_at: now });
        }
    }

    pub(super) fn get(&self, id: ConversationId, tenant: Option<&Tenant>) -> Option<Conversation> {
        self.find(id, tenant).map(|talk| talk.conversation.clone())
    }

    pub(super) fn list(&self, tenant: Option<&Tenant>, before: Option<JobKey>, max: usize) -> ConversationsPage {
        let older = |talk: &&Talk| before.is_none_or(|before| talk.conversation.id.key() < before);
        let all = self.0.values().rev().filter(|talk| talk.belongs_to(tenant)).filter(older);
        let mut conversations: Vec<Conversation> = all.take(max + 1).map(|talk| talk.conversation.clone()).collect();
        let more = conversations.len() > max;
        conversations.truncate(max);
        let next = conversations.last().filter(|_| more).map(|last| last.id.key());
        ConversationsPage { conversations, next }
    }

    pub(super) fn append(
        &mut self,
        new: NewMessage,
        limits: &Limits,
        now: Time,
    ) -> Result<Message, ConversationRefusal> {
        let NewMessage { conversation, tenant, role, content, metadata, random } = new;
        self.room_in(conversation, tenant.as_ref(), 1, limits)?;
        let talk = self.0.get_mut(&conversation).ok_or(ConversationRefusal::Unknown)?;
        let number = talk.conversation.count(role, now);
        let said = Message::said(MessageId::at(now, random), number, role, content, now);
        let message = Message { metadata, ..said };
        talk.messages.push(message.clone());
        Ok(message)
    }

    pub(super) fn messages(&self, read: &MessagesRead) -> Option<MessagesPage> {
        let talk = self.find(read.conversation, read.tenant.as_ref())?;
        let numbers = read.numbers(talk.conversation.messages);
        let mut found: Vec<&Message> = talk.messages.iter().filter(|of| numbers.contains(&of.number)).collect();
        if read.order == Order::NewestFirst {
            found.reverse();
        }
        let coming = found.into_iter().map(|message| Ok::<_, std::convert::Infallible>(message.clone()));
        let Ok(page) = read.page(talk.conversation.messages, coming);
        Some(page)
    }

    pub(super) fn summary(&self, id: ConversationId, tenant: Option<&Tenant>, up_to: u32) -> Option<Summary> {
        self.find(id, tenant)?.summaries.range(..=up_to).next_back().map(|(_, summary)| summary.clone())
    }

    /// The jobs that are to answer in a conversation; `None` if there is no such.
    pub(super) fn awaited(&self, id: ConversationId, tenant: Option<&Tenant>) -> Option<Vec<JobId>> {
        let messages = self.find(id, tenant)?.messages.iter();
        Some(messages.filter(|of| of.state == MessageState::Processing).filter_map(|of| of.job).collect())
    }

    pub(super) fn delete(&mut self, id: ConversationId) {
        self.0.remove(&id);
    }
}

impl Inner {
    fn delete_conversation(
        &mut self,
        id: ConversationId,
        tenant: Option<&Tenant>,
        now: Time,
        changes: &mut Vec<Change>,
    ) -> bool {
        let Some(jobs) = self.conversations.awaited(id, tenant) else { return false };
        for job in jobs {
            let reason = Some(CONVERSATION_DELETED.to_owned());
            // One that has ended needs no cancel.
            let _ = self.command(job.key(), Some(job), Command::Cancel { reason }, now, changes);
        }
        self.conversations.delete(id);
        true
    }
}

#[async_trait]
impl Conversations for MemoryStore {
    async fn create_conversation(
        &self,
        new: NewConversation,
        now: Time,
    ) -> Result<Result<Conversation, ConversationRefusal>, StoreError> {
        let Inner { conversations, minter, .. } = &mut *self.open()?;
        Ok(conversations.create(new, &self.limits, minter, now))
    }

    async fn conversation(
        &self,
        id: ConversationId,
        tenant: Option<&Tenant>,
    ) -> Result<Option<Conversation>, StoreError> {
        Ok(self.open()?.conversations.get(id, tenant))
    }

    async fn conversations(
        &self,
        tenant: Option<&Tenant>,
        before: Option<JobKey>,
        max: usize,
    ) -> Result<ConversationsPage, StoreError> {
        Ok(self.open()?.conversations.list(tenant, before, max))
    }

    async fn delete_conversation(
        &self,
        id: ConversationId,
        tenant: Option<&Tenant>,
        now: Time,
    ) -> Result<bool, StoreError> {
        self.change(|inner, changes| inner.delete_conversation(id, tenant, now, changes))
    }

    async fn append_message(
        &self,
        new: NewMessage,
        now: Time,
    ) -> Result<Result<Message, ConversationRefusal>, StoreError> {
        Ok(self.open()?.conversations.append(new, &self.limits, now))
    }

    async fn messages(&self, read: MessagesRead) -> Result<Option<MessagesPage>, StoreError> {
        Ok(self.open()?.conversations.messages(&read))
    }

    async fn summary(
        &self,
        id: ConversationId,
        tenant: Option<&Tenant>,
        up_to: u32,
    ) -> Result<Option<Summary>, StoreError> {
        Ok(self.open()?.conversations.summary(id, tenant, up_to))
    }
}
