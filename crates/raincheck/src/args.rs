use clap::{Args, Parser, Subcommand};

use crate::console::Color;
use crate::{
    check, client, completions, follow, jobs, key, list, recipes, serve, simulate, submit, upstreams, webhook,
};

const START_HERE: &str = "\
Start here:
  raincheck serve
  raincheck submit sleep --input '{\"seconds\": 5}' --follow";

/// Durable background jobs: a slow request gets its rain check at once, and the work is done behind it.
#[derive(Debug, Parser)]
#[command(name = "raincheck", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = START_HERE)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Print JSON, also on a terminal; elsewhere it is always JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to use colours; NO_COLOR is heeded
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", hide_possible_values = true)]
    pub(crate) color: Color,
    #[command(flatten)]
    pub(crate) client: client::Args,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(serve::Args),
    Submit(submit::Args),
    Follow(follow::Args),
    Get(jobs::Get),
    List(list::Args),
    Cancel(jobs::Cancel),
    Retry(jobs::Retry),
    Webhook(webhook::Args),
    Upstreams(upstreams::Args),
    Recipes(recipes::Args),
    Key(key::Args),
    Simulate(simulate::Args),
    Config(check::Args),
    Completions(completions::Args),
}
