//! Calls to a server in this process that answers as it is told to.

mod accounts;
mod calls;
mod estimates;
mod fetches;
mod limits;
mod passing;
mod support;
