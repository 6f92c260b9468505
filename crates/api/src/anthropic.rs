//! The door that speaks the dialect of Anthropic's Messages API, under `/anthropic`; docs/anthropic.md says what is spoken.

mod batch;
mod batches;
mod events;
mod failed;
mod message;
mod messages;
mod models;
mod page;
mod pass;
mod results;

use axum::http::Method;

use crate::router::Routes;

/// The kind of job that a message becomes.
const MESSAGE: &str = "llm.message";
/// What a message's id begins with.
const MESSAGE_ID: &str = "msg_";

/// The routes of this door.
pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .dialect(Method::POST, "/anthropic/v1/messages", messages::create)
        .dialect(Method::GET, "/anthropic/v1/messages/{id}", message::get)
        .dialect(Method::POST, "/anthropic/v1/messages/count_tokens", messages::count_tokens)
        .dialect(Method::GET, "/anthropic/v1/models", models::list)
        .dialect(Method::GET, "/anthropic/v1/models/{*model}", models::retrieve)
        .dialect(Method::POST, "/anthropic/v1/messages/batches", batches::create)
        .dialect(Method::GET, "/anthropic/v1/messages/batches", batches::list)
        .dialect(Method::GET, "/anthropic/v1/messages/batches/{id}", batches::get)
        .dialect(Method::DELETE, "/anthropic/v1/messages/batches/{id}", batches::delete)
        .dialect(Method::POST, "/anthropic/v1/messages/batches/{id}/cancel", batches::cancel)
        .dialect(Method::GET, "/anthropic/v1/messages/batches/{id}/results", results::results)
}
