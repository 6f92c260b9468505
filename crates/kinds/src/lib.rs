//! The bundled handlers.
