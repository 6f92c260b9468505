//! `raincheck config`: what the configuration says, and what is wrong with it.

use std::path::PathBuf;

use clap::Subcommand;

use crate::config::{Config, Layers, Loaded, Setting};
use crate::console::Console;
use crate::exit::{Exit, Failure};

/// Looks at the configuration without starting anything.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    /// The configuration file [default: raincheck.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE", env = "RAINCHECK_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tells everything that is wrong, or OK
    Check,
    /// Shows every setting in force, and where its value comes from
    Show,
}

/// Checks or shows.
///
/// # Errors
/// Everything that is wrong in the configuration.
pub(crate) fn run(args: &Args, console: Console) -> Result<Exit, Failure> {
    let loaded = Config::load(&Layers::here(args.config.as_deref())?)?;
    loaded.warnings.iter().for_each(|warning| console.warn(&warning.to_string()));
    match args.command {
        Command::Check if console.json => console.print(r#"{"ok":true}"#)?,
        Command::Check => console.print(&ok(&loaded, console))?,
        Command::Show if console.json => console.print(&as_json(&loaded.settings))?,
        Command::Show => console.print(&as_toml(&loaded.settings, console))?,
    }
    Ok(Exit::Success)
}

fn ok(loaded: &Loaded, console: Console) -> String {
    let changed = loaded.settings.iter().filter(|setting| setting.source.is_some()).count();
    let file = loaded.file.as_ref().map_or("no file".to_owned(), |file| file.display().to_string());
    let rest =
        if changed == 0 { "every setting has its default".into() } else { format!("{changed} settings are set") };
    format!("{} ({file}; {rest})", console.out.green("OK"))
}

fn as_json(settings: &[Setting]) -> String {
    let entries = settings.iter().map(|setting| {
        serde_json::json!({
            "section": setting.section,
            "key": setting.key,
            "value": setting.value,
            "source": setting.source.as_deref().unwrap_or("default"),
        })
    });
    serde_json::Value::from_iter(entries).to_string()
}

/// A configuration file that says the same.
fn as_toml(settings: &[Setting], console: Console) -> String {
    let width = settings.iter().map(|setting| setting.key.len() + setting.value.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    let mut section = "";
    for setting in settings {
        if setting.section != section {
            section = &setting.section;
            lines.push(String::new());
            lines.push(console.out.bold(&format!("[{section}]")));
        }
        let gap = " ".repeat(width - setting.key.len() - setting.value.len() + 2);
        let source = setting.source.as_deref().map_or("default".to_owned(), |source| format!("set by {source}"));
        let line = format!("{} = {}", setting.key, setting.value);
        let line = if setting.source.is_some() { console.out.green(&line) } else { line };
        lines.push(format!("{line}{gap}{}", console.out.dim(&format!("# {source}"))));
    }
    lines.remove(0);
    lines.join("\n")
}
