//! Calls to a server in this process that answers as it is told to.

mod accounts;
mod calls;
mod fetches;
mod limits;
mod passing;
mod support;
