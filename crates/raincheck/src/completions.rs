//! `raincheck completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::console::Console;
use crate::exit::{Exit, Failure};

/// Prints completions for a shell.
///
/// For bash: raincheck completions bash > ~/.local/share/bash-completion/completions/raincheck
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which shell
    shell: Shell,
}

/// Prints the completions.
///
/// # Errors
/// If nobody reads them.
pub(crate) fn run(args: &Args, console: Console) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "raincheck", &mut script);
    console.print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Success)
}
