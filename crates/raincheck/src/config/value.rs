use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use raincheck_core::Kind;
use toml::Spanned;
use toml::de::DeValue;

use super::duration;
use super::size::Size;

/// What a setting can hold: read from the file, or from the text of an environment variable or a flag.
pub(crate) trait Value: Sized {
    /// Reads it from an environment variable or a flag.
    fn from_text(text: &str) -> Result<Self, String>;

    /// Reads it from the file; a string there is read like any other text.
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some(text) => Self::from_text(text),
            None => Err(format!("expected a string in quotes, not {} {}", article(value), value.type_str())),
        }
    }

    /// Writes it as it stands in the file.
    fn show(&self) -> String;
}

fn article(value: &DeValue<'_>) -> &'static str {
    if matches!(value.type_str(), "integer" | "array" | "inline table") { "an" } else { "a" }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

impl Value for Duration {
    fn from_text(text: &str) -> Result<Self, String> {
        duration::parse(text)
    }

    fn show(&self) -> String {
        quoted(&duration::show(*self))
    }
}

impl Value for Size {
    fn from_text(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_integer() {
            Some(number) => Self::from_text(number.as_str()),
            None => Self::from_text(value.as_str().unwrap_or(value.type_str())),
        }
    }

    fn show(&self) -> String {
        quoted(&Size::show(*self))
    }
}

impl Value for usize {
    fn from_text(text: &str) -> Result<Self, String> {
        text.trim().parse().map_err(|_| format!("expected a whole number, not {text:?}"))
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let wrong = || format!("expected a whole number, not {} {}", article(value), value.type_str());
        Self::from_text(&value.as_integer().ok_or_else(wrong)?.as_str().replace('_', ""))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Option<PathBuf> {
    /// Nothing stands for none.
    fn from_text(text: &str) -> Result<Self, String> {
        Ok((!text.is_empty()).then(|| text.into()))
    }

    fn show(&self) -> String {
        quoted(&self.as_ref().map_or_else(|| "".into(), |path| path.to_string_lossy()))
    }
}

impl Value for PathBuf {
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("expected a path, not nothing".into()) } else { Ok(Self::from(text)) }
    }

    fn show(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

/// In the environment and in flags joined by `:`, like `PATH`.
impl Value for Vec<PathBuf> {
    fn from_text(text: &str) -> Result<Self, String> {
        text.split(':').filter(|part| !part.is_empty()).map(PathBuf::from_text).collect()
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let wrong = || format!("expected an array of paths, not {} {}", article(value), value.type_str());
        value.as_array().ok_or_else(wrong)?.iter().map(Spanned::get_ref).map(PathBuf::from_toml).collect()
    }

    fn show(&self) -> String {
        let paths: Vec<String> = self.iter().map(Value::show).collect();
        format!("[{}]", paths.join(", "))
    }
}

/// In the environment and in flags joined by `,`.
impl Value for Vec<Kind> {
    fn from_text(text: &str) -> Result<Self, String> {
        let kind = |name: &str| name.parse().map_err(|error| format!("no kind can be called {name:?}: {error}"));
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(kind).collect()
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let wrong = || format!("expected an array of names, not {} {}", article(value), value.type_str());
        let names = value.as_array().ok_or_else(wrong)?.iter().map(|name| name.get_ref().as_str().ok_or_else(wrong));
        Self::from_text(&names.collect::<Result<Vec<&str>, String>>()?.join(","))
    }

    fn show(&self) -> String {
        let names: Vec<String> = self.iter().map(|kind| quoted(kind.as_str())).collect();
        format!("[{}]", names.join(", "))
    }
}

impl Value for SocketAddr {
    fn from_text(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected an address and a port such as 127.0.0.1:7246, not {text:?}");
        match text.strip_prefix("localhost:") {
            Some(port) => Ok(Self::from((Ipv4Addr::LOCALHOST, port.parse().map_err(|_| wrong())?))),
            None => text.parse().map_err(|_| wrong()),
        }
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

/// Reads one of a few words.
pub(crate) fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        format!("expected one of {}, not {text:?}", known.join(", "))
    })
}

/// Writes one of a few words.
pub(crate) fn word_of<T: PartialEq>(value: &T, words: &[(&str, T)]) -> String {
    quoted(words.iter().find(|(_, known)| known == value).map_or("", |(word, _)| word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_an_address() {
        assert_eq!(SocketAddr::from_text("localhost:80"), Ok(SocketAddr::from(([127, 0, 0, 1], 80))));
        assert!(SocketAddr::from_text("localhost").is_err());
        assert!(SocketAddr::from_text("[::1]:80").is_ok());
    }

    #[test]
    fn paths_are_joined_like_path() {
        assert_eq!(Vec::<PathBuf>::from_text("/a:/b:"), Ok(vec!["/a".into(), "/b".into()]));
        assert_eq!(vec![PathBuf::from("/a\"b")].show(), "['/a\"b']");
    }
}
