//! Conversations over HTTP.

mod create;
mod delete;
mod get;
mod list;
mod messages;
mod path;
mod say;
mod view;

pub(crate) use create::{ConversationRequest, create};
pub(crate) use delete::delete;
pub(crate) use get::get;
pub(crate) use list::{ConversationsPage, list};
pub(crate) use messages::{MessagesPage, messages};
pub(crate) use path::ConversationPath;
pub(crate) use say::{MessageRequest, say};
pub(crate) use view::{ConversationView, MessageView};
