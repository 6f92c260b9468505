//! The bundled handlers, run by an engine as a server runs them.

mod message_batch;
mod scan;
mod support;
