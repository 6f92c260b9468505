//! The API from outside: requests through the whole router, and what only a real socket shows.

mod anthropic;
mod anthropic_batches;
mod auth;
mod batch;
mod conversations;
mod dialects;
mod documented;
mod events;
mod fal;
mod file_content;
mod files;
mod floods;
mod jobs;
mod leases;
mod openai;
mod operations;
mod refusals;
mod replicate;
mod sockets;
mod support;
mod tls;
mod upstreams;
mod webhooks;
mod websockets;
