//! The whole command, from outside: each module starts the real binary and speaks to it as anybody could.

mod architecture;
mod blobs;
mod client;
mod config;
mod diagnostics;
mod doors;
mod embedding;
mod help;
mod jobs;
mod keys;
mod kinds;
mod pages;
mod proof;
mod recipes;
#[expect(dead_code, reason = "the tests of blob use all of it")]
#[path = "../../blob/tests/s3.rs"]
mod s3;
mod sdk;
mod simulate;
mod start;
mod stop;
mod support;
mod tls;
mod upstreams;
mod webhooks;
