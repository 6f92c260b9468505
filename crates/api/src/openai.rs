//! The door that speaks OpenAI's dialect, under `/openai/v1`; docs/openai.md says what is spoken.
//!
//! ```text
//! create (background) ─► job llm.response ─► its log ─► Tale ─► response.* events, numbered from 0
//!                                                └─► outcome ─► Face ─► Response object
//! ```

mod batches;
mod call;
mod direct;
mod error;
mod expiry;
mod files;
mod held;
mod models;
mod page;
mod responses;
mod served;
mod stored;
mod uploads;

use axum::http::Method;

use direct::{Chat, Embeddings, Images};

pub(crate) use error::told;
pub(crate) use files::refused;

use crate::router::Routes;

/// By what name the dialect's jobs are found.
const DOOR: &str = "openai";

/// The routes of this door.
pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .dialect(Method::POST, "/openai/v1/responses", responses::create)
        .dialect(Method::POST, "/openai/v1/responses/input_tokens", responses::count_input_tokens)
        .dialect(Method::POST, "/openai/v1/responses/compact", responses::compact)
        .dialect(Method::GET, "/openai/v1/responses/{id}", responses::retrieve)
        .dialect(Method::DELETE, "/openai/v1/responses/{id}", responses::delete)
        .dialect(Method::POST, "/openai/v1/responses/{id}/cancel", responses::cancel)
        .dialect(Method::GET, "/openai/v1/responses/{id}/input_items", responses::input_items)
        .dialect(Method::POST, "/openai/v1/chat/completions", direct::create::<Chat>)
        .dialect(Method::GET, "/openai/v1/chat/completions/{id}", stored::retrieve)
        .dialect(Method::POST, "/openai/v1/embeddings", direct::create::<Embeddings>)
        .dialect(Method::POST, "/openai/v1/images/generations", direct::create::<Images>)
        .dialect(Method::GET, "/openai/v1/models", models::list)
        .dialect(Method::GET, "/openai/v1/models/{*model}", models::retrieve)
        .dialect(Method::POST, "/openai/v1/files", files::upload)
        .dialect(Method::GET, "/openai/v1/files", files::list)
        .dialect(Method::GET, "/openai/v1/files/{id}", files::retrieve)
        .dialect(Method::DELETE, "/openai/v1/files/{id}", files::delete)
        .dialect(Method::GET, "/openai/v1/files/{id}/content", files::content)
        .dialect(Method::POST, "/openai/v1/uploads", uploads::create)
        .dialect(Method::POST, "/openai/v1/uploads/{id}/parts", uploads::add_part)
        .dialect(Method::POST, "/openai/v1/uploads/{id}/complete", uploads::complete)
        .dialect(Method::POST, "/openai/v1/uploads/{id}/cancel", uploads::cancel)
        .dialect(Method::POST, "/openai/v1/batches", batches::create)
        .dialect(Method::GET, "/openai/v1/batches", batches::list)
        .dialect(Method::GET, "/openai/v1/batches/{id}", batches::retrieve)
        .dialect(Method::POST, "/openai/v1/batches/{id}/cancel", batches::cancel)
}
