//! The bundled handlers, run by an engine as a server runs them.

mod batch;
mod collection;
mod conversation_summarize;
mod fallback;
mod fetch;
mod files;
mod http_request;
mod image;
mod llm;
mod message_batch;
mod outage;
mod paid_once;
mod recipe;
mod scan;
mod support;
