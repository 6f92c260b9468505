//! The bundled handlers: what `raincheck serve` can do without anybody writing code.
//!
//! A handler here only turns a job's input into calls of something else; rules about when it runs, how often and for whom
//! are the engine's. This crate knows no HTTP server and no store.

mod batch;
mod calling;
mod conversation_summarize;
mod courier;
mod echo;
mod files;
mod history;
mod http_request;
mod image;
mod input;
mod llm;
mod message_batch;
mod once;
mod recipe;
mod remote;
mod said;
mod scan;
mod sleep;

/// The bundled kinds that steps of recipes can be of, in order of name. Those that call upstreams are there once there is an
/// upstream that could be called.
pub const BUNDLED: [&str; 11] = [
    "audio.scan",
    "echo",
    "http.request",
    "image.generate",
    "llm.batch",
    "llm.chat",
    "llm.embed",
    "llm.message",
    "llm.message_batch",
    "llm.response",
    "sleep",
];

pub use batch::{Batch, Called, Line, Lines};
pub use conversation_summarize::ConversationSummarize;
pub use courier::Courier;
pub use echo::Echo;
pub use files::JobFiles;
pub use http_request::HttpRequest;
pub use image::ImageGenerate;
pub use llm::Llm;
pub use message_batch::{MessageBatch, MessageRequest, Messages};
pub use once::Marks;
pub use recipe::{Order, Recipes};
pub use scan::AudioScan;
pub use sleep::Sleep;
