use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// A part of a line of a file that a person wrote, to point at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    path: PathBuf,
    number: usize,
    column: usize,
    text: String,
    length: usize,
}

impl Line {
    /// The line of `text` that holds the start of `span`, in bytes.
    #[must_use]
    pub fn of(path: PathBuf, text: &str, span: Range<usize>) -> Self {
        let start = text.floor_char_boundary(span.start.min(text.len()));
        let begin = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line = text[begin..].lines().next().unwrap_or("");
        let column = text[begin..start].chars().count() + 1;
        let end = text.floor_char_boundary(span.end.clamp(start, begin + line.len().max(start - begin)));
        let length = text[start..end].chars().count().max(1);
        let number = text[..begin].matches('\n').count() + 1;
        Self { path, number, column, text: line.to_owned(), length }
    }

    /// The number of the line, from 1.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// The same place, with the line shown as `change` has it.
    #[must_use]
    pub fn shown(self, change: impl FnOnce(&str) -> String) -> Self {
        Self { text: change(&self.text), ..self }
    }

    /// Writes a message with the line and the place in it.
    ///
    /// # Errors
    /// Those of the formatter.
    pub fn point(&self, f: &mut fmt::Formatter<'_>, message: &str, hint: Option<&str>) -> fmt::Result {
        let Self { path, number, column, text, length } = self;
        writeln!(f, "{}:{number}:{column}: {message}", path.display())?;
        let gutter = number.to_string();
        writeln!(f, "  {gutter} | {text}")?;
        let underline = format!("{:>1$}", "^".repeat(*length), column - 1 + length);
        let pointed = format!("{underline} {}", hint.unwrap_or_default());
        write!(f, "  {:1$} | {2}", "", gutter.len(), pointed.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_at_or_beyond_the_end_is_no_panic() {
        for span in [0..0, 3..99, 99..100, 4..4] {
            let _ = Line::of("f".into(), "a\nbä\n", span);
        }
    }
}
