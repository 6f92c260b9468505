//! How jobs, results and times look to people.

mod job;
pub(crate) mod model;
mod result;
mod scan;
pub(crate) mod table;
mod time;

pub(crate) use job::{Job, colour, problem};
pub(crate) use result::result;
pub(crate) use time::{length, moment, relative, short};
