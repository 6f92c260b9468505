//! `raincheck recipes`: what recipes say, and what is wrong with them.

pub(crate) mod folder;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Subcommand;
use raincheck_core::Json;
use raincheck_kinds::schemas;
use raincheck_recipes::{Book, Recipe, SCHEMA, explain};
use serde_json::Value;

use crate::console::Console;
use crate::exit::{Exit, Failure};

/// Looks at recipes without starting anything.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tells everything that is wrong, or OK
    Check {
        /// Recipes, and folders of them
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Tells what recipes take, do and answer
    Explain {
        /// Recipes, and folders of them
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Draw the steps as a Mermaid flowchart
        #[arg(long)]
        mermaid: bool,
    },
    /// Prints the JSON Schema of recipes, for editors
    Schema,
}

/// Checks or explains.
///
/// # Errors
/// Everything that is wrong with the recipes.
pub(crate) fn run(args: &Args, console: Console) -> Result<Exit, Failure> {
    match &args.command {
        Command::Check { paths } => {
            let recipes = folder::read(paths)?;
            folder::check_calls(&recipes, &takes())?;
            let count = recipes.len();
            Book::default().replace(recipes).map_err(|mistakes| folder::wrong(&mistakes))?;
            if console.json {
                console.print(r#"{"ok":true}"#)?;
            } else {
                let told = if count == 1 { "1 recipe".to_owned() } else { format!("{count} recipes") };
                console.print(&format!("{} ({told})", console.out.green("OK")))?;
            }
        }
        Command::Explain { paths, mermaid } => {
            let draw = |recipe: &Recipe| if *mermaid { raincheck_recipes::mermaid(recipe) } else { explain(recipe) };
            let told: Vec<String> = folder::read(paths)?.iter().map(draw).collect();
            console.print(told.join("\n").trim_end())?;
        }
        Command::Schema => console.print(SCHEMA.trim_end())?,
    }
    Ok(Exit::Success)
}

/// The JSON Schema of what each bundled kind is given, as a server says it.
fn takes() -> BTreeMap<String, Value> {
    let schema = |(kind, schema): (&str, Json)| (kind.to_owned(), schema.parse().unwrap_or_default());
    schemas().into_iter().map(schema).collect()
}
