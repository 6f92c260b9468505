use std::collections::BTreeSet;
use std::sync::LazyLock;

use minijinja::{Environment, Expression, UndefinedBehavior};
use serde_json::{Map, Value};

use crate::scope::computed;
use crate::{Scope, filters, words};

/// The longest text that a template may come to, in bytes.
const TEXT_MAX: usize = 8 << 20;

/// Where expressions are made: what is missing is an error, and nothing is escaped, because values stay values.
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    // Whether something is there may be asked; but it cannot be used as if it were.
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    // Nothing here needs long lists out of nowhere.
    environment.remove_global("range");
    filters::add(&mut environment);
    environment
});

/// A value with holes: JSON whose strings may hold expressions between `{{` and `}}`. A string that is one expression and
/// nothing else becomes the expression's value, whatever its type; in other strings values are written as text.
#[derive(Debug)]
pub enum Template {
    /// Without holes.
    Fixed(Value),
    /// One expression.
    Computed(Formula),
    /// Text with expressions in it.
    Text(Vec<Piece>),
    /// A list.
    List(Vec<Template>),
    /// A table, in the order it was written.
    Table(Vec<(String, Template)>),
}

/// An expression, ready to be computed.
#[derive(Debug)]
pub struct Formula {
    source: String,
    expression: Expression<'static, 'static>,
    /// The same without slices: minijinja does not tell what names stand before one.
    unsliced: Option<Expression<'static, 'static>>,
}

/// A part of a text.
#[derive(Debug)]
pub enum Piece {
    /// As it stands.
    Plain(String),
    /// To be computed.
    Hole(Formula),
}

/// Why a template comes to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{expression}` cannot be computed: {reason}")]
pub struct TemplateError {
    /// The expression.
    pub expression: String,
    /// What is wrong with it, given the values that there are.
    pub reason: String,
}

impl Formula {
    /// Reads an expression.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(source: &str) -> Result<Self, String> {
        let read = |source: String| {
            let expression = ENVIRONMENT.compile_expression_owned(source);
            expression.map_err(|error| error.detail().unwrap_or("it is no expression").to_owned())
        };
        let expression = read(source.to_owned())?;
        words::check(&ENVIRONMENT, source)?;
        let unsliced = Some(words::without_slices(source)).filter(|unsliced| unsliced != source);
        Ok(Self { source: source.trim().to_owned(), expression, unsliced: unsliced.map(read).transpose()? })
    }

    /// As it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it refers to: names joined by dots.
    #[must_use]
    pub fn references(&self) -> BTreeSet<String> {
        let all = [Some(&self.expression), self.unsliced.as_ref()];
        all.into_iter().flatten().flat_map(|expression| expression.undeclared_variables(true)).collect()
    }

    /// Whether it makes links to files.
    pub(crate) fn makes_links(&self) -> bool {
        words::uses(&self.source, "link")
    }

    /// Its value.
    ///
    /// # Errors
    /// If it has none, given what there is.
    pub fn compute(&self, scope: &Scope) -> Result<Value, TemplateError> {
        let failed = |reason: String| TemplateError { expression: self.source.clone(), reason };
        let value = self.expression.eval(scope.values()).map_err(|error| failed(reason(&error)))?;
        if value.is_undefined() {
            return Err(failed("there is no such value".to_owned()));
        }
        serde_json::to_value(&value).map_err(|error| failed(error.to_string()))
    }

    /// Whether it holds: as in Jinja, what is empty, zero or nothing does not.
    ///
    /// # Errors
    /// If it has no value, given what there is.
    pub fn holds(&self, scope: &Scope) -> Result<bool, TemplateError> {
        Ok(computed(&self.compute(scope)?).is_true())
    }
}

fn reason(error: &minijinja::Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), ToOwned::to_owned)
}

impl Template {
    /// Reads a text, which may have holes.
    ///
    /// # Errors
    /// What is wrong with an expression in it.
    pub fn of_text(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            let end = end_of(&rest[start + 2..]).ok_or("`{{` is not closed by `}}`")?;
            let formula = Formula::read(&rest[start + 2..start + 2 + end])?;
            if start > 0 {
                pieces.push(Piece::Plain(rest[..start].to_owned()));
            }
            pieces.push(Piece::Hole(formula));
            rest = &rest[start + 2 + end + 2..];
        }
        if pieces.is_empty() {
            return Ok(Self::Fixed(Value::from(text)));
        }
        if !rest.is_empty() {
            pieces.push(Piece::Plain(rest.to_owned()));
        }
        Ok(match <[Piece; 1]>::try_from(pieces) {
            Ok([Piece::Hole(formula)]) => Self::Computed(formula),
            Ok(pieces) => Self::Text(pieces.into()),
            Err(pieces) => Self::Text(pieces),
        })
    }

    /// The value with its holes filled.
    ///
    /// # Errors
    /// If an expression has no value, given what there is, or a text becomes longer than 8 MiB.
    pub fn render(&self, scope: &Scope) -> Result<Value, TemplateError> {
        match self {
            Self::Fixed(value) => Ok(value.clone()),
            Self::Computed(formula) => formula.compute(scope),
            Self::Text(pieces) => text(pieces, scope).map(Value::from),
            Self::List(items) => items.iter().map(|item| item.render(scope)).collect(),
            Self::Table(entries) => {
                let entry = |(name, value): &(String, Self)| Ok((name.clone(), value.render(scope)?));
                entries.iter().map(entry).collect::<Result<Map<_, _>, _>>().map(Value::Object)
            }
        }
    }

    /// The value with its holes filled, as JSON: the entries of tables stand in the order in which they were written.
    ///
    /// # Errors
    /// As of [`Template::render`].
    pub fn render_json(&self, scope: &Scope) -> Result<String, TemplateError> {
        let joined = |parts: Result<Vec<String>, TemplateError>| parts.map(|parts| parts.join(","));
        match self {
            Self::List(items) => {
                let items = joined(items.iter().map(|item| item.render_json(scope)).collect())?;
                Ok(format!("[{items}]"))
            }
            Self::Table(entries) => {
                let entry = |(name, value): &(String, Self)| {
                    Ok(format!("{}:{}", Value::from(name.as_str()), value.render_json(scope)?))
                };
                let entries = joined(entries.iter().map(entry).collect())?;
                Ok(format!("{{{entries}}}"))
            }
            Self::Fixed(_) | Self::Computed(_) | Self::Text(_) => self.render(scope).map(|value| value.to_string()),
        }
    }

    /// Every expression in it.
    pub fn formulas(&self) -> Vec<&Formula> {
        match self {
            Self::Fixed(_) => Vec::new(),
            Self::Computed(formula) => vec![formula],
            Self::Text(pieces) => pieces
                .iter()
                .filter_map(|piece| match piece {
                    Piece::Hole(formula) => Some(formula),
                    Piece::Plain(_) => None,
                })
                .collect(),
            Self::List(items) => items.iter().flat_map(Self::formulas).collect(),
            Self::Table(entries) => entries.iter().flat_map(|(_, value)| value.formulas()).collect(),
        }
    }
}

/// Where the expression ends: at the `}}` that stands neither in a string of it nor closes a table of its own.
fn end_of(text: &str) -> Option<usize> {
    let (mut quote, mut escaped, mut depth) = (None, false, 0_u32);
    for (at, letter) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if letter == '\\' => escaped = true,
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            None if letter == '"' || letter == '\'' => quote = Some(letter),
            None if letter == '{' => depth += 1,
            None if letter == '}' && depth > 0 => depth -= 1,
            None if text[at..].starts_with("}}") => return Some(at),
            None => {}
        }
    }
    None
}

fn text(pieces: &[Piece], scope: &Scope) -> Result<String, TemplateError> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Plain(plain) => text.push_str(plain),
            Piece::Hole(formula) => match formula.compute(scope)? {
                Value::Null => {}
                Value::String(value) => text.push_str(&value),
                other => text.push_str(&other.to_string()),
            },
        }
        if text.len() > TEXT_MAX {
            let (expression, reason) = ("…".to_owned(), format!("the text has more than {TEXT_MAX} bytes"));
            return Err(TemplateError { expression, reason });
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(text: &str) -> Result<Value, TemplateError> {
        let input = json!({ "name": "Ada", "n": 45, "list": [1, 2], "none": null, "text": "a }} b" });
        Template::of_text(text).unwrap().render(&Scope::of_input(&input))
    }

    #[test]
    fn one_expression_keeps_its_type_and_text_is_text() {
        assert_eq!(render("{{ input.n }}"), Ok(json!(45)));
        assert_eq!(render("{{ input.list }}"), Ok(json!([1, 2])));
        assert_eq!(render("{{ input.none }}"), Ok(Value::Null));
        assert_eq!(render("Dear {{ input.name }}, {{ input.n }} % {{ input.none }}"), Ok(json!("Dear Ada, 45 % ")));
        assert_eq!(render("{{ input.n > 40 and input.name == 'Ada' }}"), Ok(json!(true)));
        assert_eq!(render("{{ {'a': {'b': 1}}.a.b }}"), Ok(json!(1)));
        assert_eq!(render("no {holes} here"), Ok(json!("no {holes} here")));
        assert_eq!(render("{{ '}}' ~ input.text }}"), Ok(json!("}}a }} b")));
    }

    #[test]
    fn what_is_missing_is_told() {
        assert_eq!(render("{{ input.nmae }}").unwrap_err().expression, "input.nmae");
        assert!(render("{{ input.none.x }}").is_err());
        for bad in ["{{ input.", "{{ 1 + }}", "{{ }}", "{{ 'open }}"] {
            assert!(Template::of_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn whether_something_is_there_may_be_asked() {
        assert_eq!(render("{{ input.none.x if input.none.x else 'nothing' }}"), Ok(json!("nothing")));
        assert_eq!(render("{{ input.list + [3] }}"), Ok(json!([1, 2, 3])));
        assert_eq!(render("{{ ('{\"a\": [1]}' | parse_json).a }}"), Ok(json!([1])));
        assert_eq!(render("{{ input.name | parse_json }}"), Ok(Value::Null));
        assert_eq!(render("{{ input.none | parse_json }}"), Ok(Value::Null));
    }

    #[test]
    fn words_that_nobody_knows_are_told_at_once() {
        let told = |text: &str| Template::of_text(text).unwrap_err();
        assert_eq!(told("{{ input.name | uper }}"), "there is no filter `uper`; did you mean `upper`?");
        assert_eq!(told("{{ input.n is evn }}"), "there is no test `is evn`");
        assert!(told("{{ input.map.get('a') }}").starts_with("values have no methods such as `get()`"));
        assert!(Template::of_text("{{ 'a | b' ~ input.name | upper if input.n is not none }}").is_ok());
    }

    #[test]
    fn references_are_names_joined_by_dots() {
        let formula = Formula::read("steps.rewrite.text ~ input.question | upper").unwrap();
        assert_eq!(formula.references(), ["input.question".to_owned(), "steps.rewrite.text".to_owned()].into());
    }
}
