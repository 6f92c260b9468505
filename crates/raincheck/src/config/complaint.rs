use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use super::base_url;

/// Something wrong in the configuration: where, what, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// Where it was found.
    pub(crate) place: Place,
    /// What is wrong.
    pub(crate) message: String,
    /// How to mend it.
    pub(crate) hint: Option<String>,
}

/// Where a setting was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the file, on this line.
    Line(Line),
    /// The file as a whole.
    File(PathBuf),
    /// In an environment variable or a flag of this name.
    Named(String),
}

impl Place {
    /// The line of the file, to sort by; what is not in the file comes last.
    pub(crate) fn line(&self) -> usize {
        match self {
            Self::Line(line) => line.number,
            Self::File(_) | Self::Named(_) => usize::MAX,
        }
    }
}

/// A part of a line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    path: PathBuf,
    number: usize,
    column: usize,
    text: String,
    length: usize,
}

/// The line as it may be shown: what stands behind `api_key =` and its like is nobody's business, nor what an address should
/// not hold.
fn without_keys(line: &str) -> String {
    const KEYS: [&str; 3] = ["api_key", "secret_access_key", "access_key_id"];
    let line = KEYS.iter().fold(line.to_owned(), |line, key| hidden(&line, key, |_| true));
    hidden(&line, "base_url", base_url::may_hold_a_secret)
}

/// The line without the values of a setting that are secret.
fn hidden(line: &str, key: &str, is_secret: impl Fn(&str) -> bool) -> String {
    let (mut shown, mut rest) = (String::new(), line);
    while let Some(place) = rest.find(key) {
        let (before, found) = rest.split_at(place + key.len());
        shown.push_str(before);
        rest = found;
        let value = found.trim_start_matches(['"', '\'', ' ', '\t']).strip_prefix('=').map(str::trim_start);
        let Some(value) = value else { continue };
        let quote = value.chars().next().filter(|first| ['"', '\''].contains(first));
        let end = quote.and_then(|quote| Some(1 + value[1..].find(quote)? + 1)).unwrap_or(value.len());
        if is_secret(&value[..end]) {
            shown.push_str(" = …");
            rest = &value[end..];
        }
    }
    shown + rest
}

impl Line {
    /// The line of `text` that holds the start of `span`.
    pub(crate) fn of(path: PathBuf, text: &str, span: Range<usize>) -> Self {
        let start = text.floor_char_boundary(span.start.min(text.len()));
        let begin = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line = text[begin..].lines().next().unwrap_or("");
        let column = text[begin..start].chars().count() + 1;
        let end = text.floor_char_boundary(span.end.clamp(start, begin + line.len().max(start - begin)));
        let number = text[..begin].matches('\n').count() + 1;
        let shown = without_keys(line);
        // No longer than what is shown, or the underline would tell how long a key is.
        let room = shown.trim_end().chars().count().saturating_sub(column - 1);
        let length = text[start..end].chars().count().min(room).max(1);
        Self { path, number, column, text: shown, length }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hint = self.hint.as_deref().unwrap_or("");
        match &self.place {
            Place::Line(Line { path, number, column, text, length }) => {
                writeln!(f, "{}:{number}:{column}: {}", path.display(), self.message)?;
                let gutter = number.to_string();
                writeln!(f, "  {gutter} | {text}")?;
                let underline = format!("{:>1$}", "^".repeat(*length), column - 1 + length);
                let pointed = format!("{underline} {hint}");
                write!(f, "  {:1$} | {2}", "", gutter.len(), pointed.trim_end())
            }
            Place::File(path) => write!(f, "{}: {}{}", path.display(), self.message, after(hint)),
            Place::Named(name) => write!(f, "{name}: {}{}", self.message, after(hint)),
        }
    }
}

fn after(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!("; {hint}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_shown_with_the_place_underlined() {
        let text = "[server]\n# ä\nlisen = 1\n";
        let start = text.find("lisen").unwrap();
        let complaint = Complaint {
            place: Place::Line(Line::of("raincheck.toml".into(), text, start..start + 5)),
            message: "unknown setting `lisen` in [server]".into(),
            hint: Some("did you mean `listen`?".into()),
        };
        assert_eq!(
            complaint.to_string(),
            "raincheck.toml:3:1: unknown setting `lisen` in [server]\n  3 | lisen = 1\n    | ^^^^^ did you mean `listen`?"
        );
    }

    #[test]
    fn a_key_is_not_shown() {
        for (line, shown) in [
            ("api_key = \"sk-canary\"", "api_key = …"),
            ("api_key=sk-canary", "api_key = …"),
            ("openai = { api_key = 'sk-canary', x = 1 }", "openai = { api_key = …, x = 1 }"),
            ("\"api_key\" = \"sk-canary", "\"api_key = …"),
            ("api_key_env = \"NAME\"", "api_key_env = \"NAME\""),
            ("base_url = \"http://u:canary@a\" # x", "base_url = … # x"),
            ("base_url = \"http://a?canary", "base_url = …"),
            ("base_url = \"http//a\"", "base_url = \"http//a\""),
            ("one = { base_url = 'http://a#canary', api_key = 'canary' }", "one = { base_url = …, api_key = … }"),
        ] {
            assert_eq!(without_keys(line), shown);
        }
    }

    #[test]
    fn a_place_at_or_beyond_the_end_is_no_panic() {
        for span in [0..0, 3..99, 99..100, 4..4] {
            let _ = Line::of("f".into(), "a\nbä\n", span);
        }
    }
}
