//! The raincheck command: serve, submit, follow and the rest.
//!
//! The only room that names a store, reads the environment or writes to a terminal. It wires the others together
//! (`serve`, on what the library of this crate has for programs that embed it), and is itself a client of the HTTP API
//! (`submit`, `follow`, …): it knows no more than any other client could. Only `key` opens the data directory besides the
//! server.

mod args;
mod check;
mod client;
mod completions;
mod config;
mod console;
mod exit;
mod follow;
mod jobs;
mod key;
mod list;
mod recipes;
mod serve;
mod show;
mod simulate;
mod submit;
mod upstreams;
mod webhook;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use client::Client;
use console::Console;
use exit::{Exit, Failure};

/// What one thread makes another frees: callers and the store's writer, connections and handlers. The C library's allocator
/// takes a lock for each of these.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let console = Console::new(cli.global.json, cli.global.color);
    match run(cli, console) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            console.fail(&failure);
            failure.exit.into()
        }
    }
}

fn run(cli: Cli, console: Console) -> Result<Exit, Failure> {
    match cli.command {
        Command::Serve(args) => {
            let runtime = runtime(tokio::runtime::Builder::new_multi_thread())?;
            let served = runtime.block_on(serve::run(args, console));
            // Whatever must end in order has ended; a check of an input that hangs is not waited for.
            runtime.shutdown_background();
            served.map(|()| Exit::Success)
        }
        Command::Simulate(args) => runtime(tokio::runtime::Builder::new_multi_thread())?
            .block_on(simulate::run(args, console))
            .map(|()| Exit::Success),
        Command::Config(args) => check::run(&args, console),
        Command::Completions(args) => completions::run(&args, console),
        Command::Recipes(args) => recipes::run(&args, console),
        Command::Key(args) => key::run(args, console),
        command => {
            runtime(tokio::runtime::Builder::new_current_thread())?.block_on(ask(&command, &cli.global.client, console))
        }
    }
}

/// The commands that are clients of a server.
async fn ask(command: &Command, args: &client::Args, console: Console) -> Result<Exit, Failure> {
    let client = Client::new(args, console)?;
    match command {
        Command::Submit(args) => submit::run(args, &client, console).await,
        Command::Follow(args) => follow::run(args, &client, console).await,
        Command::Get(args) => jobs::get(args, &client, console).await,
        Command::List(args) => list::run(args, &client, console).await,
        Command::Cancel(args) => jobs::cancel(args, &client, console).await,
        Command::Retry(args) => jobs::retry(args, &client, console).await,
        Command::Upstreams(args) => upstreams::run(args, &client, console).await,
        Command::Webhook(args) => webhook::run(args, &client, console).await,
        Command::Serve(_)
        | Command::Simulate(_)
        | Command::Config(_)
        | Command::Completions(_)
        | Command::Recipes(_)
        | Command::Key(_) => Ok(Exit::Success),
    }
}

fn runtime(mut builder: tokio::runtime::Builder) -> Result<tokio::runtime::Runtime, Failure> {
    let failed = |error| Failure::new(Exit::Failed, format!("failed to start the runtime: {error}"));
    builder.enable_all().build().map_err(failed)
}
