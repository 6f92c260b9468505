use async_trait::async_trait;
use raincheck_core::{Conversation, ConversationId, JobKey, Message, Summary, Tenant, Time};
use raincheck_store::{
    ConversationRefusal, Conversations, ConversationsPage, MessagesPage, MessagesRead, NewConversation, NewMessage,
    StoreError,
};

use super::SqliteStore;
use crate::table::{conversation, message, summary};
use crate::work::conversation::{AppendMessage, CreateConversation, DeleteConversation};

#[async_trait]
impl Conversations for SqliteStore {
    async fn create_conversation(
        &self,
        new: NewConversation,
        now: Time,
    ) -> Result<Result<Conversation, ConversationRefusal>, StoreError> {
        self.write(CreateConversation { new, now }).await
    }

    async fn conversation(
        &self,
        id: ConversationId,
        tenant: Option<&Tenant>,
    ) -> Result<Option<Conversation>, StoreError> {
        let tenant = tenant.cloned();
        self.read(move |connection, _| conversation::get(connection, id, tenant.as_ref())).await
    }

    async fn conversations(
        &self,
        tenant: Option<&Tenant>,
        before: Option<JobKey>,
        max: usize,
    ) -> Result<ConversationsPage, StoreError> {
        let tenant = tenant.cloned();
        let one_more = max.saturating_add(1);
        let found = self.read(move |connection, _| conversation::list(connection, tenant.as_ref(), before, one_more));
        let mut conversations = found.await?;
        let more = conversations.len() > max;
        conversations.truncate(max);
        let next = conversations.last().filter(|_| more).map(|last| last.id.key());
        Ok(ConversationsPage { conversations, next })
    }

    async fn delete_conversation(
        &self,
        id: ConversationId,
        tenant: Option<&Tenant>,
        now: Time,
    ) -> Result<bool, StoreError> {
        self.write(DeleteConversation { id, tenant: tenant.cloned(), now }).await
    }

    async fn append_message(
        &self,
        new: NewMessage,
        now: Time,
    ) -> Result<Result<Message, ConversationRefusal>, StoreError> {
        self.write(AppendMessage { new, now }).await
    }

    async fn messages(&self, read: MessagesRead) -> Result<Option<MessagesPage>, StoreError> {
        let page = self.read(move |connection, _| {
            let found = conversation::get(connection, read.conversation, read.tenant.as_ref())?;
            found.map(|found| message::page(connection, &read, found.messages)).transpose()
        });
        page.await
    }

    async fn summary(
        &self,
        id: ConversationId,
        tenant: Option<&Tenant>,
        up_to: u32,
    ) -> Result<Option<Summary>, StoreError> {
        let tenant = tenant.cloned();
        let summary = self.read(move |connection, _| match conversation::get(connection, id, tenant.as_ref())? {
            Some(_) => summary::newest(connection, id, up_to),
            None => Ok(None),
        });
        summary.await
    }
}
