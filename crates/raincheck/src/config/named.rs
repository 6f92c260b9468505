use std::collections::BTreeMap;
use std::ops::Range;

use raincheck_recipes::nearest;
use toml::Spanned;
use toml::de::DeTable;

use super::reader::{Reader, Setting, did_you_mean};
use super::value::Value;

/// The longest name that an operator gives.
const NAME_LENGTH_MAX: usize = 32;
/// What such a name is like.
pub(super) const NAME_MUST: &str = "has 1 to 32 of a-z 0-9 _ - and begins with a letter";

/// Whether it is such a name.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.len() <= NAME_LENGTH_MAX
        && name.bytes().all(allowed)
}

/// A table whose name the operator chose.
pub(super) struct Named<'r, 'a> {
    reader: &'r mut Reader<'a>,
    section: String,
    table: DeTable<'a>,
    /// What was asked for.
    pub(super) known: Vec<&'static str>,
    /// Where the settings stand that were found.
    pub(super) spans: BTreeMap<&'static str, Range<usize>>,
    pub(super) is_wrong: bool,
}

impl<'r, 'a> Named<'r, 'a> {
    pub(super) fn new(reader: &'r mut Reader<'a>, of: &str, name: &str, table: DeTable<'a>) -> Self {
        let section = format!("{of}.{name}");
        Self { reader, section, table, known: Vec::new(), spans: BTreeMap::new(), is_wrong: false }
    }

    pub(super) fn complain(&mut self, span: Range<usize>, message: String) {
        self.is_wrong = true;
        self.reader.complain(span, message, None);
    }

    pub(super) fn warn(&mut self, span: Range<usize>, message: String) {
        self.reader.warn(span, message);
    }

    pub(super) fn get<T: Value>(&mut self, key: &'static str) -> Option<T> {
        self.get_if(key, |_| true, "")
    }

    /// The setting of this name, if it is there; `must` says what it has to be if `valid` does not hold.
    pub(super) fn get_if<T: Value>(&mut self, key: &'static str, valid: impl Fn(&T) -> bool, must: &str) -> Option<T> {
        let value = self.take(key)?;
        let span = value.span();
        match T::from_toml(value.get_ref())
            .and_then(|value| if valid(&value) { Ok(value) } else { Err(must.to_owned()) })
        {
            Ok(value) => {
                self.tell(key, value.show());
                Some(value)
            }
            Err(message) => {
                self.complain(span, format!("{key}: {message}"));
                None
            }
        }
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<Spanned<toml::de::DeValue<'a>>> {
        self.known.push(key);
        let value = self.table.remove(key)?;
        self.spans.insert(key, value.span());
        Some(value)
    }

    pub(super) fn tell(&mut self, key: &'static str, value: String) {
        let source = Some(self.reader.file_name());
        self.reader.tell(Setting { section: self.section.clone().into(), key, value, source });
    }

    /// Complains of everything that was not asked for.
    pub(super) fn finish(self) {
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            let message = format!("unknown setting `{name}` in [{}]", self.section);
            self.reader.complain(key.span(), message, did_you_mean(nearest(name, self.known.iter().copied())));
        }
    }
}
