use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use raincheck_core::Kind;
use raincheck_recipes::duration;
use raincheck_upstream::{BadNetwork, Network};
use toml::Spanned;
use toml::de::DeValue;

use super::size::Size;

/// What a setting can hold: read from the file, an environment variable or a flag.
pub(crate) trait Value: Sized {
    /// Reads it from text.
    fn from_text(text: &str) -> Result<Self, String>;

    /// Reads it from an environment variable.
    fn from_variable(value: &OsStr) -> Result<Self, String> {
        let text = value.to_str().ok_or_else(|| format!("expected Unicode text, not {value:?}"))?;
        Self::from_text(text)
    }

    /// Reads it from a flag, which may have been given more than once.
    fn from_flag(values: &[OsString]) -> Result<Self, String> {
        Self::from_variable(values.last().map_or(OsStr::new(""), OsString::as_os_str))
    }

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

fn whole_number<T: FromStr>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("expected a whole number, not {text:?}"))
}

/// The digits of a whole number, without what makes it easier to read.
fn digits(value: &DeValue<'_>) -> Result<String, String> {
    let wrong = || format!("expected a whole number, not {} {}", article(value), value.type_str());
    Ok(value.as_integer().ok_or_else(wrong)?.as_str().replace('_', ""))
}

macro_rules! whole_numbers {
    ($($number:ty),*) => {$(
        impl Value for $number {
            fn from_text(text: &str) -> Result<Self, String> {
                whole_number(text)
            }

            fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
                whole_number(&digits(value)?)
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

whole_numbers!(usize, u64);

impl Value for Option<PathBuf> {
    /// Nothing stands for none.
    fn from_text(text: &str) -> Result<Self, String> {
        Self::from_variable(OsStr::new(text))
    }

    fn from_variable(value: &OsStr) -> Result<Self, String> {
        Ok((!value.is_empty()).then(|| value.into()))
    }

    fn show(&self) -> String {
        quoted(&self.as_ref().map_or_else(|| "".into(), |path| path.to_string_lossy()))
    }
}

impl Value for bool {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("expected true or false, not {text:?}"))
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| format!("expected true or false, not {} {}", article(value), value.type_str()))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn show(&self) -> String {
        quoted(self)
    }
}

/// Text that is shown nowhere.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Hidden(pub(crate) String);

impl Value for Hidden {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }

    fn show(&self) -> String {
        quoted(if self.0.is_empty() { "" } else { "…" })
    }
}

/// Words in an array; in the environment joined by `,`.
fn words(value: &DeValue<'_>, what: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("expected an array of {what}, not {} {}", article(value), value.type_str());
    let words = value.as_array().ok_or_else(wrong)?.iter().map(|word| word.get_ref().as_str().map(str::to_owned));
    words.map(|word| word.ok_or_else(wrong)).collect()
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn array(words: impl Iterator<Item = String>) -> String {
    format!("[{}]", words.map(|word| quoted(&word)).collect::<Vec<_>>().join(", "))
}

impl Value for Vec<String> {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(split(text).map(str::to_owned).collect())
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        words(value, "strings")
    }

    fn show(&self) -> String {
        array(self.iter().cloned())
    }
}

impl Value for Vec<Network> {
    fn from_text(text: &str) -> Result<Self, String> {
        split(text).map(|network| network.parse().map_err(|error: BadNetwork| error.to_string())).collect()
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        Self::from_text(&words(value, "networks")?.join(","))
    }

    fn show(&self) -> String {
        array(self.iter().map(ToString::to_string))
    }
}

impl Value for PathBuf {
    fn from_text(text: &str) -> Result<Self, String> {
        Self::from_variable(OsStr::new(text))
    }

    /// Whatever bytes it has: a path need not be text.
    fn from_variable(value: &OsStr) -> Result<Self, String> {
        if value.is_empty() { Err("expected a path, not nothing".into()) } else { Ok(Self::from(value)) }
    }

    fn show(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

/// In the environment joined by `:`, like `PATH`; each flag is one whole path, which may have a colon in it.
impl Value for Vec<PathBuf> {
    fn from_text(text: &str) -> Result<Self, String> {
        Self::from_variable(OsStr::new(text))
    }

    fn from_variable(value: &OsStr) -> Result<Self, String> {
        Ok(std::env::split_paths(value).filter(|path| !path.as_os_str().is_empty()).collect())
    }

    fn from_flag(values: &[OsString]) -> Result<Self, String> {
        values.iter().map(|value| PathBuf::from_variable(value)).collect()
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

/// In the environment joined by `,`.
impl Value for Vec<Kind> {
    fn from_text(text: &str) -> Result<Self, String> {
        let kind = |name: &str| name.parse().map_err(|error| format!("no kind can be called {name:?}: {error}"));
        split(text).map(kind).collect()
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        Self::from_text(&words(value, "names")?.join(","))
    }

    fn show(&self) -> String {
        array(self.iter().map(ToString::to_string))
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
    use std::os::unix::ffi::OsStrExt;

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

    #[test]
    fn each_flag_is_a_whole_path() {
        let flags = ["/a:b".into(), "/c".into()];
        assert_eq!(Vec::<PathBuf>::from_flag(&flags), Ok(vec!["/a:b".into(), "/c".into()]));
        assert_eq!(usize::from_flag(&["1".into(), "2".into()]), Ok(2));
    }

    #[test]
    fn a_path_need_not_be_text_and_everything_else_must() {
        let bytes = OsStr::from_bytes(b"/a\xFF");
        assert_eq!(PathBuf::from_variable(bytes), Ok(PathBuf::from(bytes)));
        assert!(usize::from_variable(bytes).unwrap_err().contains("Unicode"));
    }
}
