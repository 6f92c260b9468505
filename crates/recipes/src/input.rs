use std::collections::BTreeMap;

use raincheck_core::Picture;
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::DeValue;

use crate::nearest;
use crate::read::{Entries, Entry, Reading, said};
use crate::route::Route;

/// The longest text of an input unless the recipe says otherwise, in characters.
const TEXT_MAX: i64 = 100_000;
/// The most items of a list unless the recipe says otherwise.
const ITEMS_MAX: i64 = 10_000;
/// The largest file of an input, in bytes.
const FILE_MAX: u64 = 512 << 20;
/// Fields that there are not, of which a request is told at once.
const UNKNOWN_TOLD: usize = 10;
/// And how much of a name, in bytes.
const NAME_SHOWN: usize = 100;
/// Words for the types, as they are written.
const TYPES: [&str; 8] = ["string", "integer", "number", "boolean", "list", "table", "file", "any"];

/// A field of the input.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub holds: FieldType,
    /// Where it stands in a request.
    pub source: Source,
    /// What it is when it is left out; `None` if it may not be.
    pub default: Option<Value>,
    /// The values that it may have; empty for all.
    pub one_of: Vec<Value>,
    /// The pictures that a file may be; empty for any file.
    pub pictures: Vec<Picture>,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Text of so many characters.
    String(i64, i64),
    /// A whole number from and to.
    Integer(i64, i64),
    /// A number from and to.
    Number(i64, i64),
    /// True or false.
    Boolean,
    /// A list of so many items.
    List(i64, i64),
    /// A table.
    Table,
    /// A file of up to so many bytes; in expressions its `id`, `filename`, `bytes` and `sha256`.
    File(u64),
    /// Whatever JSON has.
    Any,
}

/// Where a field stands in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// In the body: JSON or a form.
    Body,
}

/// What is wrong with a field that a caller sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Where: a JSON pointer into the body, or the name of a part of the path or query.
    pub pointer: String,
    /// What is wrong, and how to mend it.
    pub detail: String,
}

impl Field {
    /// Reads the fields of `[input]`, and adds those that only the path names.
    pub(crate) fn read_all<'t>(
        entries: Option<Entries<'t>>,
        route: Option<&Route>,
        reading: &mut Reading<'t>,
    ) -> Vec<Self> {
        let in_path = |name: &str| route.is_some_and(|route| route.path.names().any(|of_path| of_path == name));
        let named = entries.map(|mut entries| entries.rest()).unwrap_or_default();
        let mut fields: Vec<Self> =
            named.into_iter().filter_map(|entry| Self::read(entry, &in_path, reading)).collect();
        for name in route.iter().flat_map(|route| route.path.names()) {
            if !fields.iter().any(|field| field.name == name) {
                let holds = FieldType::String(1, TEXT_MAX);
                let (name, source) = (name.to_owned(), Source::Path);
                fields.push(Self { name, holds, source, default: None, one_of: Vec::new(), pictures: Vec::new() });
            }
        }
        fields
    }

    fn read<'t>(entry: Entry<'t>, in_path: &dyn Fn(&str) -> bool, reading: &mut Reading<'t>) -> Option<Self> {
        let (name, _, value) = entry.named(reading)?;
        let source = if in_path(&name) { Source::Path } else { Source::Body };
        if let Some(word) = value.get_ref().as_str() {
            let holds = type_of(&Spanned::new(value.span(), word.to_owned()), (None, None), reading)?;
            return Some(Self { name, holds, source, default: None, one_of: Vec::new(), pictures: Vec::new() });
        }
        let mut entries = reading.table(format!("[input.{name}]"), value)?;
        let word = entries.text("type", reading);
        let bounds =
            (entries.number("min", i64::MIN..=i64::MAX, reading), entries.number("max", i64::MIN..=i64::MAX, reading));
        let word = word.unwrap_or_else(|| Spanned::new(entries.span(), "any".to_owned()));
        let holds = type_of(&word, bounds, reading);
        let optional = entries.flag("optional", reading).unwrap_or(false);
        let default = entries.take("default").and_then(|value| reading.json(&value));
        let one_of = entries.take("one_of").and_then(|value| one_of(&value, reading)).unwrap_or_default();
        let pictures = entries.take("types").and_then(|value| pictures(&value, holds, reading)).unwrap_or_default();
        let source = match entries.text("in", reading) {
            Some(place) => source_of(&place, source, reading)?,
            None => source,
        };
        entries.finish(reading);
        let default = default.or_else(|| optional.then_some(Value::Null));
        Some(Self { name, holds: holds?, source, default, one_of, pictures })
    }

    /// The value of the field in what was sent. `text` says that everything that was sent is text, as in a path or a form.
    pub(crate) fn take(&self, sent: Option<Value>, text: bool) -> Result<Value, String> {
        let Some(value) = sent.filter(|value| !(value.is_null() && self.default.is_some())) else {
            return self.default.clone().ok_or_else(|| "it is missing".to_owned());
        };
        let value = if text { self.of_text(value) } else { value };
        self.holds.check(&value)?;
        if !self.one_of.is_empty() && !self.one_of.contains(&value) {
            let known: Vec<String> = self.one_of.iter().map(ToString::to_string).collect();
            return Err(format!("it should be one of {}", known.join(", ")));
        }
        Ok(value)
    }

    /// What text stands for. What stands for nothing stays text, and is refused as such.
    fn of_text(&self, value: Value) -> Value {
        let parsed = match (&value, self.holds) {
            (Value::String(text), FieldType::Integer(..) | FieldType::Number(..) | FieldType::Boolean) => {
                serde_json::from_str(text).ok()
            }
            _ => None,
        };
        parsed.unwrap_or(value)
    }
}

impl FieldType {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String(..) => "string",
            Self::Integer(..) => "integer",
            Self::Number(..) => "number",
            Self::Boolean => "boolean",
            Self::List(..) => "list",
            Self::Table => "table",
            Self::File(_) => "file",
            Self::Any => "any",
        }
    }

    fn check(self, value: &Value) -> Result<(), String> {
        let size = |is: usize, (min, max): (i64, i64), of: &str| {
            let fits = i64::try_from(is).is_ok_and(|is| (min..=max).contains(&is));
            if fits { Ok(()) } else { Err(format!("it should have from {min} to {max} {of}, not {is}")) }
        };
        #[expect(clippy::cast_precision_loss, reason = "bounds are small numbers")]
        let within = |is: f64, (min, max): (i64, i64)| {
            let fits = is >= min as f64 && is <= max as f64;
            if fits { Ok(()) } else { Err(format!("it should be from {min} to {max}")) }
        };
        match (self, value) {
            // Where there has to be something, blanks are nothing.
            (Self::String(1.., _), Value::String(text)) if !text.is_empty() && text.trim().is_empty() => {
                Err("it should not be blank".to_owned())
            }
            (Self::String(min, max), Value::String(text)) => size(text.chars().count(), (min, max), "characters"),
            (Self::List(min, max), Value::Array(items)) => size(items.len(), (min, max), "items"),
            (Self::Integer(min, max), Value::Number(number)) if number.is_i64() || number.is_u64() => {
                within(number.as_f64().unwrap_or(f64::NAN), (min, max))
            }
            (Self::Number(min, max), Value::Number(number)) => within(number.as_f64().unwrap_or(f64::NAN), (min, max)),
            (Self::Boolean, Value::Bool(_)) | (Self::Table, Value::Object(_)) | (Self::Any, _) => Ok(()),
            (Self::File(_), Value::Object(file)) if file.contains_key("id") && file.contains_key("sha256") => Ok(()),
            (wanted, value) => Err(format!("it should be {}, not {}", wanted.in_words(), sort_of(value))),
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::String(..) => "text",
            Self::Integer(..) => "a whole number",
            Self::Number(..) => "a number",
            Self::Boolean => "true or false",
            Self::List(..) => "a list",
            Self::Table => "an object",
            Self::File(_) => "a file, in a form (multipart/form-data)",
            Self::Any => "anything",
        }
    }
}

fn sort_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn type_of(
    word: &Spanned<String>,
    (min, max): (Option<i64>, Option<i64>),
    reading: &mut Reading<'_>,
) -> Option<FieldType> {
    let holds = match word.get_ref().as_str() {
        "string" => FieldType::String(min.unwrap_or(0), max.unwrap_or(TEXT_MAX)),
        "integer" => FieldType::Integer(min.unwrap_or(i64::MIN), max.unwrap_or(i64::MAX)),
        "number" => FieldType::Number(min.unwrap_or(i64::MIN), max.unwrap_or(i64::MAX)),
        "boolean" => FieldType::Boolean,
        "list" => FieldType::List(min.unwrap_or(0), max.unwrap_or(ITEMS_MAX)),
        "table" => FieldType::Table,
        "file" => FieldType::File(max.and_then(|max| u64::try_from(max).ok()).unwrap_or(FILE_MAX).min(FILE_MAX)),
        "any" => FieldType::Any,
        other => {
            let near = nearest(other, TYPES).map(|near| format!("did you mean \"{near}\"?"));
            let hint = near.unwrap_or_else(|| format!("known types: {}", TYPES.join(", ")));
            reading.complain(word.span(), format!("there is no type \"{other}\""), Some(hint));
            return None;
        }
    };
    let unbounded = matches!(holds, FieldType::Boolean | FieldType::Table | FieldType::Any);
    if unbounded && (min.is_some() || max.is_some()) {
        reading.complain(word.span(), format!("a {} has no min and max", holds.as_str()), None);
    }
    Some(holds)
}

fn source_of(place: &Spanned<String>, found: Source, reading: &mut Reading<'_>) -> Option<Source> {
    match (place.get_ref().as_str(), found) {
        ("path", Source::Path) => Some(Source::Path),
        ("query", Source::Body) => Some(Source::Query),
        ("body", Source::Body) => Some(Source::Body),
        ("path", _) => {
            reading.complain(place.span(), "the route's path does not name it".to_owned(), None);
            None
        }
        ("query" | "body", Source::Path | Source::Query) => {
            reading.complain(place.span(), "the route's path names it".to_owned(), None);
            None
        }
        (other, _) => {
            reading.complain(place.span(), format!("a field is in the path, query or body, not {other:?}"), None);
            None
        }
    }
}

fn one_of<'t>(value: &Spanned<DeValue<'t>>, reading: &mut Reading<'t>) -> Option<Vec<Value>> {
    match reading.json(value)? {
        Value::Array(values) if !values.is_empty() => Some(values),
        _ => {
            let message = format!("`one_of` is a list of values, not {}", said(value.get_ref()));
            reading.complain(value.span(), message, None);
            None
        }
    }
}

/// The media types that a file may have: pictures alone can be told from others by their bytes.
fn pictures<'t>(
    value: &Spanned<DeValue<'t>>,
    holds: Option<FieldType>,
    reading: &mut Reading<'t>,
) -> Option<Vec<Picture>> {
    if holds.is_some_and(|holds| !matches!(holds, FieldType::File(_))) {
        reading.complain(value.span(), "only a file has `types`".to_owned(), None);
    }
    let mut pictures = Vec::new();
    for name in reading.texts("types", value)? {
        match Picture::of_media_type(name.get_ref()) {
            Some(picture) => pictures.push(picture),
            None => {
                let known = Picture::ALL.map(Picture::media_type).join(", ");
                let message = format!("{:?} is no picture that is known by its bytes", name.get_ref());
                reading.complain(name.span(), message, Some(format!("there are: {known}")));
            }
        }
    }
    Some(pictures)
}

/// What was sent with a request, by where it stood.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// The values of the path.
    pub path: BTreeMap<String, String>,
    /// The values of the query.
    pub query: BTreeMap<String, String>,
    /// The body's fields.
    pub body: Map<String, Value>,
    /// Whether the body was a form, whose values are text.
    pub is_form: bool,
}

/// An input that came whole, wherever a request would have its fields.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn complete(fields: &[Field], input: Value) -> Result<Value, Vec<Misfit>> {
    let body = match input {
        Value::Object(body) => body,
        Value::Null => Map::new(),
        other => {
            let detail = format!("the input should be an object, not {}", sort_of(&other));
            return Err(vec![Misfit { pointer: String::new(), detail }]);
        }
    };
    let fields: Vec<Field> = fields.iter().map(|field| Field { source: Source::Body, ..field.clone() }).collect();
    collect(&fields, Sent { body, ..Sent::default() }, false)
}

/// The input that a request comes to.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn collect(fields: &[Field], mut sent: Sent, ignore_unknown: bool) -> Result<Value, Vec<Misfit>> {
    let (mut input, mut misfits) = (Map::new(), Vec::new());
    for field in fields {
        let (value, text) = match field.source {
            Source::Path => (sent.path.remove(&field.name).map(Value::from), true),
            Source::Query => (sent.query.remove(&field.name).map(Value::from), true),
            Source::Body => (sent.body.remove(&field.name), sent.is_form),
        };
        match field.take(value, text) {
            Ok(value) => drop(input.insert(field.name.clone(), value)),
            Err(detail) => {
                let pointer =
                    if field.source == Source::Body { format!("/{}", field.name) } else { field.name.clone() };
                misfits.push(Misfit { pointer, detail: format!("{}: {detail}", field.name) });
            }
        }
    }
    let names = || fields.iter().map(|field| field.name.as_str());
    let unknown = sent
        .body
        .keys()
        .map(|name| (name, format!("/{name}")))
        .chain(sent.query.keys().map(|name| (name, name.clone())));
    for (name, pointer) in unknown.filter(|_| !ignore_unknown).take(UNKNOWN_TOLD) {
        let near = nearest(name, names()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        let (shown, more) = match name.floor_char_boundary(NAME_SHOWN) {
            end if end < name.len() => (&name[..end], "…"),
            _ => (name.as_str(), ""),
        };
        // A file that was taken for a form is one name: nobody points there.
        let pointer = if more.is_empty() { pointer } else { String::new() };
        misfits.push(Misfit { pointer, detail: format!("there is no field {shown:?}{more}{near}") });
    }
    if misfits.is_empty() { Ok(Value::Object(input)) } else { Err(misfits) }
}
