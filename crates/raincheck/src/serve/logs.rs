use tracing_subscriber::fmt;

use crate::config::{Config, LogFormat};
use crate::console::Console;

/// From now on what the server does is told on standard error.
pub(crate) fn start(config: &Config, console: Console) {
    let lines = fmt().with_writer(std::io::stderr).with_max_level(config.log.level).with_target(false);
    // It can only be set once; there is nobody who could have set it before.
    let _ = match config.log.format {
        LogFormat::Text => tracing::subscriber::set_global_default(lines.with_ansi(console.err.0).finish()),
        LogFormat::Json => tracing::subscriber::set_global_default(lines.json().flatten_event(true).finish()),
    };
}
