//! The bundled handlers: what `raincheck serve` can do without anybody writing code.
//!
//! A handler here only turns a job's input into calls of something else; rules about when it runs, how often and for whom
//! are the engine's. This crate knows no HTTP server and no store.

mod batch;
mod bundled;
mod calling;
mod collection;
mod conversation_summarize;
mod courier;
mod echo;
mod fetch;
mod files;
mod history;
mod http_request;
mod image;
mod inline;
mod input;
mod llm;
mod message_batch;
mod once;
mod recipe;
mod remote;
mod said;
mod scan;
mod sleep;

pub use batch::{Batch, Called, Line, Lines};
pub use bundled::{BUNDLED, schemas};
pub use collection::{CollectionError, CollectionSearch, Collections};
pub use conversation_summarize::ConversationSummarize;
pub use courier::Courier;
pub use echo::Echo;
pub use fetch::FileFetch;
pub use files::JobFiles;
pub use http_request::HttpRequest;
pub use image::ImageGenerate;
pub use llm::Llm;
pub use message_batch::{MessageBatch, MessageRequest, Messages};
pub use once::Marks;
pub use recipe::{Order, Recipes};
pub use scan::AudioScan;
pub use sleep::Sleep;
