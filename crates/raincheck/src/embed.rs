//! The embedding face: the types that a program uses.

mod builder;
mod error;
mod job;
mod raincheck;
mod submit;
mod typed;

pub use builder::Builder;
pub use error::{JobError, RunError, StartError};
pub use job::JobHandle;
pub use raincheck::Raincheck;
pub use submit::Submit;
pub use typed::{Typed, blocking, handler};
