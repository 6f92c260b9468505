//! The bundled handlers, run by an engine as a server runs them.

mod scan;
mod support;
