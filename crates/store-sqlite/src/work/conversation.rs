use raincheck_core::{
    Command, Conversation, ConversationId, Event, EventBody, JobId, Message, MessageId, Role, Spec, Tenant, Time, Turn,
};
use raincheck_store::{
    CONVERSATION_DELETED, ConversationRefusal, NewConversation, NewMessage, NewSummary, NewTurn, SUMMARIES_MAX,
};

use crate::fault::Fault;
use crate::table::{conversation, message, summary};
use crate::work::Work;
use crate::writer::Writer;

/// Begins a conversation.
pub(crate) struct CreateConversation {
    pub(crate) new: NewConversation,
    pub(crate) now: Time,
}

impl Work for CreateConversation {
    type Answer = Result<Conversation, ConversationRefusal>;

    const ACCEPTS: bool = true;

    fn run(&self, writer: &mut Writer<'_>) -> Result<Self::Answer, Fault> {
        let NewConversation { tenant, metadata, random } = &self.new;
        if let Some(refusal) = writer.no_room_for_conversation(tenant)? {
            return Ok(Err(refusal));
        }
        let id = ConversationId::mint(&mut writer.memory.minter, self.now, *random);
        let new = Conversation::new(id, tenant.clone(), metadata.clone(), self.now);
        conversation::insert(writer.tables.connection, &new)?;
        Ok(Ok(new))
    }

    fn bytes(&self) -> usize {
        256 + self.new.metadata.as_ref().map_or(0, |metadata| metadata.as_str().len())
    }
}

/// Adds a message that nobody is to answer.
pub(crate) struct AppendMessage {
    pub(crate) new: NewMessage,
    pub(crate) now: Time,
}

impl Work for AppendMessage {
    type Answer = Result<Message, ConversationRefusal>;

    const ACCEPTS: bool = true;

    fn run(&self, writer: &mut Writer<'_>) -> Result<Self::Answer, Fault> {
        let NewMessage { conversation: id, tenant, role, content, metadata, random } = self.new.clone();
        let mut found = match writer.conversation_with_room(id, tenant.as_ref(), 1)? {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let number = found.count(role, self.now);
        let said = Message::said(MessageId::at(self.now, random), number, role, content, self.now);
        let new = Message { metadata, ..said };
        message::insert(writer.tables.connection, id, &new)?;
        conversation::update(writer.tables.connection, &found)?;
        Ok(Ok(new))
    }

    fn bytes(&self) -> usize {
        let metadata = self.new.metadata.as_ref().map_or(0, |metadata| metadata.as_str().len());
        256 + self.new.content.as_str().len() + metadata
    }
}

/// Deletes a conversation, and cancels the jobs that were to answer in it.
pub(crate) struct DeleteConversation {
    pub(crate) id: ConversationId,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) now: Time,
}

impl Work for DeleteConversation {
    type Answer = bool;

    fn run(&self, writer: &mut Writer<'_>) -> Result<bool, Fault> {
        let connection = writer.tables.connection;
        let Some(found) = conversation::get(connection, self.id, self.tenant.as_ref())? else { return Ok(false) };
        for job in message::awaited(connection, self.id)? {
            let reason = Some(CONVERSATION_DELETED.to_owned());
            // One that has ended needs no cancel.
            let _ = writer.command(job, Command::Cancel { reason }, self.now)?;
        }
        conversation::delete(connection, &found)?;
        Ok(true)
    }
}

impl Writer<'_> {
    /// Why a turn cannot be taken, if so.
    pub(crate) fn no_room_for_turn(
        &self,
        turn: &NewTurn,
        tenant: &Tenant,
    ) -> Result<Option<ConversationRefusal>, Fault> {
        match turn.conversation {
            Some(id) => Ok(self.conversation_with_room(id, Some(tenant), 2)?.err()),
            None => self.no_room_for_conversation(tenant),
        }
    }

    /// Stores the messages of a turn that is not refused; gives what its job is.
    pub(crate) fn take_turn(&mut self, new: &NewTurn, spec: &Spec, job: JobId, now: Time) -> Result<Spec, Fault> {
        let connection = self.tables.connection;
        let [random, of_message, of_answer] = new.random;
        let known = match new.conversation {
            Some(id) => conversation::get(connection, id, Some(&spec.tenant))?,
            None => None,
        };
        let mut of = match known {
            Some(known) => known,
            None => {
                let id = ConversationId::mint(&mut self.memory.minter, now, random);
                let begun = Conversation::new(id, spec.tenant.clone(), None, now);
                conversation::insert(connection, &begun)?;
                begun
            }
        };
        let (message, answer) = (MessageId::at(now, of_message), MessageId::at(now, of_answer));
        let number = of.count(Role::User, now);
        let said = Message::said(message, number, Role::User, new.content.clone(), now);
        let turn = Turn { conversation: of.id, message, answer, number, turn: of.turns };
        message::insert(connection, of.id, &Message { job: Some(job), metadata: new.metadata.clone(), ..said })?;
        let answer_number = of.count(Role::Assistant, now);
        message::insert(connection, of.id, &Message::awaited(answer, answer_number, job, now))?;
        conversation::update(connection, &of)?;
        let mut spec = spec.clone();
        spec.take_turn(turn);
        Ok(spec)
    }

    /// Settles the answer of a job that has ended.
    pub(crate) fn end_turn(&mut self, turn: &Turn, events: &[Event], now: Time) -> Result<(), Fault> {
        let Some(Event { body: EventBody::Finished(outcome), .. }) = events.last() else { return Ok(()) };
        let connection = self.tables.connection;
        message::settle(connection, turn, outcome, self.reply.as_ref(), now)?;
        Ok(conversation::touch(connection, turn.conversation, now)?)
    }

    /// Keeps summaries of conversations of this tenant.
    pub(crate) fn summarize(&mut self, summaries: &[NewSummary], tenant: &Tenant, now: Time) -> Result<(), Fault> {
        for new in summaries.iter().take(SUMMARIES_MAX) {
            let found = conversation::get(self.tables.connection, new.conversation, Some(tenant))?;
            if found.is_some_and(|found| (1..=found.messages).contains(&new.up_to)) {
                summary::insert(self.tables.connection, new, now)?;
            }
        }
        Ok(())
    }

    fn no_room_for_conversation(&self, tenant: &Tenant) -> Result<Option<ConversationRefusal>, Fault> {
        let limit = self.limits.conversations_per_tenant;
        let is_full = conversation::count(self.tables.connection, tenant)? >= limit;
        Ok(is_full.then_some(ConversationRefusal::TooMany(limit)))
    }

    /// A conversation to which so many messages may be added.
    fn conversation_with_room(
        &self,
        id: ConversationId,
        tenant: Option<&Tenant>,
        more: usize,
    ) -> Result<Result<Conversation, ConversationRefusal>, Fault> {
        let limit = self.limits.messages_per_conversation;
        let Some(found) = conversation::get(self.tables.connection, id, tenant)? else {
            return Ok(Err(ConversationRefusal::Unknown));
        };
        let has = usize::try_from(found.messages).unwrap_or(usize::MAX);
        Ok(if has.saturating_add(more) > limit { Err(ConversationRefusal::Full(limit)) } else { Ok(found) })
    }
}
