use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;

use crate::exit::{Exit, Failure};

/// When output is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where results and messages go, and how they look: results to standard output, everything else to standard error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    /// Results are JSON, not text for people.
    pub(crate) json: bool,
    /// How results are coloured.
    pub(crate) out: Paint,
    /// How messages are coloured.
    pub(crate) err: Paint,
    /// Messages are seen by a person at once, so that they may be redrawn in place.
    pub(crate) live: bool,
}

impl Console {
    /// The process's own.
    pub(crate) fn new(json: bool, color: Color) -> Self {
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let paint = |is_terminal: bool| match color {
            Color::Auto => Paint(is_terminal && !no_color && !dumb),
            Color::Always => Paint(true),
            Color::Never => Paint(false),
        };
        Self { json: json || !out, out: paint(out), err: paint(err), live: err && !dumb }
    }

    /// How many characters fit into a line of standard output; `None` if it is no terminal, or does not say.
    pub(crate) fn width(&self) -> Option<usize> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
    }

    /// Writes a line of the result.
    ///
    /// # Errors
    /// If nobody reads it any more.
    pub(crate) fn print(&self, line: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::silent(Exit::BrokenPipe),
            _ => Failure::new(Exit::Failed, format!("failed to write to standard output: {error}")),
        })
    }

    /// Says something about what is being done.
    pub(crate) fn say(&self, line: &str) {
        // Who closed standard error does not want to hear it.
        let _ = writeln!(io::stderr().lock(), "{line}");
    }

    /// Says why a command failed.
    pub(crate) fn fail(&self, failure: &Failure) {
        if !failure.message.is_empty() {
            self.say(&format!("{} {}", self.err.red("error:"), failure.message));
        }
        if let Some(hint) = &failure.hint {
            self.say(&format!("{} {hint}", self.err.cyan(" hint:")));
        }
    }

    /// Says what may be a mistake.
    pub(crate) fn warn(&self, message: &str) {
        self.say(&format!("{} {message}", self.err.yellow("warning:")));
    }
}

/// Colours text, or leaves it as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.with("1;31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    pub(crate) fn blue(self, text: &str) -> String {
        self.with("34", text)
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.with("36", text)
    }
}

/// Text of others, made harmless: what would move the cursor, change colours or ring is shown as a symbol.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_left_out_where_nobody_sees_them() {
        assert_eq!(Paint(false).red("x"), "x");
        assert_eq!(Paint(true).green("x"), "\x1b[32mx\x1b[0m");
    }

    #[test]
    fn text_of_others_cannot_steer_the_terminal() {
        assert_eq!(harmless("a\x1b[2Jb\nc"), "a\u{fffd}[2Jb\u{fffd}c");
    }
}
