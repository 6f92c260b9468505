//! What is read, one file for each question. All SQL that runs on the reading threads.

pub(crate) mod job;
pub(crate) mod list;
pub(crate) mod log;
