use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::route::{bad_name, is_name};
use crate::{Line, Mistake, Template, duration, nearest};

/// A recipe that is being read, with what was found wrong so far.
pub(crate) struct Reading<'t> {
    path: &'t Path,
    text: &'t str,
    pub(crate) mistakes: Vec<Mistake>,
}

/// A table of the file of which entries are taken one by one; what is left over at the end is unknown.
pub(crate) struct Entries<'t> {
    /// How it is called in messages, such as `[steps.scan]`; empty for the top.
    title: String,
    span: Range<usize>,
    entries: Vec<Entry<'t>>,
    known: Vec<&'static str>,
}

/// An entry of a table.
pub(crate) struct Entry<'t> {
    pub(crate) name: Spanned<String>,
    pub(crate) value: Spanned<DeValue<'t>>,
}

impl<'t> Entry<'t> {
    /// Its name, where that stands, and its value; a complaint if it is no name.
    pub(crate) fn named(self, reading: &mut Reading<'_>) -> Option<(String, Range<usize>, Spanned<DeValue<'t>>)> {
        let span = self.name.span();
        let name = self.name.into_inner();
        if !is_name(&name) {
            reading.complain(span, bad_name(&name), None);
            return None;
        }
        Some((name, span, self.value))
    }
}

impl<'t> Reading<'t> {
    pub(crate) fn new(path: &'t Path, text: &'t str) -> Self {
        Self { path, text, mistakes: Vec::new() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.path
    }

    /// The whole file as a table.
    pub(crate) fn top(&mut self) -> Entries<'t> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            self.complain(error.span().unwrap_or(0..0), error.message().to_owned(), None);
        }
        let span = table.span();
        Entries::new(String::new(), span, table.into_inner())
    }

    pub(crate) fn complain(&mut self, span: Range<usize>, message: String, hint: Option<String>) {
        let line = Line::of(self.path.to_owned(), self.text, span);
        self.mistakes.push(Mistake { line, message, hint });
    }

    /// Where a piece of the text stands, at or behind a place.
    pub(crate) fn find(&self, piece: &str, from: usize) -> Option<Range<usize>> {
        let from = self.text.floor_char_boundary(from.min(self.text.len()));
        let at = from + self.text[from..].find(piece)?;
        Some(at..at + piece.len())
    }

    /// A table, or a complaint that it is none.
    pub(crate) fn table(&mut self, title: String, value: Spanned<DeValue<'t>>) -> Option<Entries<'t>> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Some(Entries::new(title, span, table)),
            other => {
                let name = title.trim_matches(['[', ']']);
                let message = format!("{name} is a table, not {}", said(&other));
                self.complain(span, message, Some(format!("write {title} on a line of its own")));
                None
            }
        }
    }

    /// A text, or a complaint that it is none.
    pub(crate) fn text(&mut self, name: &str, value: &Spanned<DeValue<'t>>) -> Option<Spanned<String>> {
        if let Some(text) = value.get_ref().as_str() {
            return Some(Spanned::new(value.span(), text.to_owned()));
        }
        let message = format!("`{name}` is text in quotes, not {}", said(value.get_ref()));
        self.complain(value.span(), message, None);
        None
    }

    /// A list of texts, or a complaint that it is none.
    pub(crate) fn texts(&mut self, name: &str, value: &Spanned<DeValue<'t>>) -> Option<Vec<Spanned<String>>> {
        let Some(items) = value.get_ref().as_array() else {
            let message = format!("`{name}` is a list of names, not {}", said(value.get_ref()));
            self.complain(value.span(), message, Some(format!("such as {name} = [\"first\"]")));
            return None;
        };
        let texts: Vec<_> = items.iter().map(|item| self.text(name, item)).collect();
        texts.into_iter().collect()
    }

    /// JSON without holes.
    pub(crate) fn json(&mut self, value: &Spanned<DeValue<'t>>) -> Option<Value> {
        json(value.get_ref()).map_err(|message| self.complain(value.span(), message, None)).ok()
    }

    /// A value with holes.
    pub(crate) fn template(&mut self, value: &Spanned<DeValue<'t>>) -> Option<Template> {
        match value.get_ref() {
            DeValue::String(text) => {
                let read = Template::of_text(text);
                read.map_err(|message| self.complain(value.span(), message, None)).ok()
            }
            DeValue::Array(items) => {
                let items: Vec<_> = items.iter().map(|item| self.template(item)).collect();
                items.into_iter().collect::<Option<_>>().map(Template::List)
            }
            DeValue::Table(table) => {
                let mut entries: Vec<_> = table.iter().collect();
                entries.sort_by_key(|(name, _)| name.span().start);
                let entry = |(name, value): (&Spanned<_>, &_)| {
                    let name: &std::borrow::Cow<'_, str> = name.get_ref();
                    (name.to_string(), self.template(value))
                };
                let entries: Vec<_> = entries.into_iter().map(entry).collect();
                let whole = entries.into_iter().map(|(name, value)| value.map(|value| (name, value)));
                whole.collect::<Option<_>>().map(Template::Table)
            }
            _ => self.json(value).map(Template::Fixed),
        }
    }
}

impl<'t> Entries<'t> {
    fn new(title: String, span: Range<usize>, table: DeTable<'t>) -> Self {
        let entry = |(name, value): (Spanned<std::borrow::Cow<'t, str>>, _)| Entry {
            name: Spanned::new(name.span(), name.into_inner().into_owned()),
            value,
        };
        let mut entries: Vec<Entry<'t>> = table.into_iter().map(entry).collect();
        // In the order in which they stand in the file, which is the order in which steps are run.
        entries.sort_by_key(|entry| entry.name.span().start);
        Self { title, span, entries, known: Vec::new() }
    }

    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The value of this name, if it stands there.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<Spanned<DeValue<'t>>> {
        self.known.push(name);
        let at = self.entries.iter().position(|entry| entry.name.get_ref() == name)?;
        Some(self.entries.remove(at).value)
    }

    /// All that are left, whatever they are called: this is a table in which the author chooses the names.
    pub(crate) fn rest(&mut self) -> Vec<Entry<'t>> {
        std::mem::take(&mut self.entries)
    }

    pub(crate) fn text(&mut self, name: &'static str, reading: &mut Reading<'t>) -> Option<Spanned<String>> {
        self.take(name).and_then(|value| reading.text(name, &value))
    }

    pub(crate) fn template(&mut self, name: &'static str, reading: &mut Reading<'t>) -> Option<Template> {
        self.take(name).and_then(|value| reading.template(&value))
    }

    pub(crate) fn flag(&mut self, name: &'static str, reading: &mut Reading<'t>) -> Option<bool> {
        let value = self.take(name)?;
        if let Some(flag) = value.get_ref().as_bool() {
            return Some(flag);
        }
        reading.complain(value.span(), format!("`{name}` is true or false, not {}", said(value.get_ref())), None);
        None
    }

    /// A whole number within bounds.
    pub(crate) fn number(
        &mut self,
        name: &'static str,
        bounds: std::ops::RangeInclusive<i64>,
        reading: &mut Reading<'t>,
    ) -> Option<i64> {
        let value = self.take(name)?;
        let number = json(value.get_ref()).ok().and_then(|json| json.as_i64());
        let good = number.filter(|number| bounds.contains(number));
        if good.is_none() {
            let message = format!("`{name}` is a whole number from {} to {}", bounds.start(), bounds.end());
            reading.complain(value.span(), message, None);
        }
        good
    }

    pub(crate) fn duration(&mut self, name: &'static str, reading: &mut Reading<'t>) -> Option<Duration> {
        let text = self.text(name, reading)?;
        let read = duration::parse(text.get_ref());
        read.map_err(|message| reading.complain(text.span(), format!("`{name}`: {message}"), None)).ok()
    }

    /// Complains of what nobody asked for.
    pub(crate) fn finish(self, reading: &mut Reading<'t>) {
        for Entry { name, .. } in self.entries {
            let place = if self.title.is_empty() { "at the top".to_owned() } else { format!("in {}", self.title) };
            let near = nearest(name.get_ref(), self.known.iter().copied());
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            let hint = hint.unwrap_or_else(|| format!("known here: {}", self.known.join(", ")));
            reading.complain(name.span(), format!("unknown entry `{}` {place}", name.get_ref()), Some(hint));
        }
    }
}

/// What a value is, for messages.
pub(crate) fn said(value: &DeValue<'_>) -> String {
    let article = if matches!(value.type_str(), "integer" | "array" | "inline table") { "an" } else { "a" };
    format!("{article} {}", value.type_str())
}

fn json(value: &DeValue<'_>) -> Result<Value, String> {
    Ok(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Integer(number) => {
            let radix = number.radix();
            let parsed = i64::from_str_radix(&number.as_str().replace('_', ""), radix);
            Value::from(parsed.map_err(|_| format!("{number} is too large a number"))?)
        }
        DeValue::Float(number) => {
            let parsed: Option<Number> = number.as_str().replace('_', "").parse().ok().and_then(Number::from_f64);
            Value::Number(parsed.ok_or_else(|| format!("{number} is no number that JSON has"))?)
        }
        DeValue::Datetime(time) => Value::from(time.to_string()),
        DeValue::Array(items) => Value::Array(items.iter().map(|item| json(item.get_ref())).collect::<Result<_, _>>()?),
        DeValue::Table(table) => {
            let entry = |(name, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
                Ok((name.get_ref().to_string(), json(value.get_ref())?))
            };
            Value::Object(table.iter().map(entry).collect::<Result<Map<_, _>, String>>()?)
        }
    })
}
