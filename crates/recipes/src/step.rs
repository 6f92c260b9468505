use std::ops::Range;

use raincheck_core::Kind;
use serde_json::Value;

use crate::read::{Entry, Reading};
use crate::route::{bad_name, is_name};
use crate::template::Formula;
use crate::{Scope, Template, TemplateError};

/// How many items of a loop are worked on at once unless the recipe says otherwise.
const CONCURRENCY_DEFAULT: i64 = 4;
/// And at most.
const CONCURRENCY_MAX: i64 = 64;

/// A part of a recipe's work: done once, and its result kept.
#[derive(Debug)]
pub struct Step {
    /// Its name, by which others refer to its result.
    pub name: String,
    /// What sort of work it is.
    pub kind: Kind,
    /// What it is given.
    pub input: Template,
    /// It is left out, and its result is nothing, unless this holds.
    pub condition: Option<Formula>,
    /// It is done for each item of this list, and its result is the list of what that gave.
    pub for_each: Option<Formula>,
    /// How many items are worked on at once.
    pub concurrency: usize,
    /// What becomes of its failure; without it the job fails.
    pub on_error: Option<OnError>,
    /// Where it stands in the file.
    pub(crate) span: Range<usize>,
}

/// What becomes of a step's failure.
#[derive(Debug)]
pub enum OnError {
    /// Its result is this instead, and the job is marked as degraded.
    Use(Template),
}

impl Step {
    pub(crate) fn read<'t>(entry: Entry<'t>, reading: &mut Reading<'t>) -> Option<Self> {
        let Entry { name, value } = entry;
        let span = name.span();
        let name = name.into_inner();
        if !is_name(&name) {
            reading.complain(span, bad_name(&name), None);
            return None;
        }
        let title = format!("[steps.{name}]");
        let mut entries = reading.table(title.clone(), value)?;
        let kind = entries.text("kind", reading);
        let input = entries.template("input", reading).unwrap_or(Template::Fixed(Value::Null));
        let condition = entries.text("if", reading).and_then(|text| formula(text, reading));
        let for_each = entries.text("for_each", reading).and_then(|text| formula(text, reading));
        let concurrency = entries.number("concurrency", 1..=CONCURRENCY_MAX, reading).unwrap_or(CONCURRENCY_DEFAULT);
        let on_error = entries.take("on_error").and_then(|value| {
            let mut entries = reading.table(format!("[steps.{name}.on_error]"), value)?;
            let instead = entries.template("use", reading);
            entries.finish(reading);
            instead.map(OnError::Use)
        });
        entries.finish(reading);
        let Some(kind) = kind else {
            reading.complain(
                span,
                format!("{title} does not say its `kind`"),
                Some("such as kind = \"llm.chat\"".into()),
            );
            return None;
        };
        let parsed = kind.get_ref().parse();
        let kind = parsed.map_err(|error| reading.complain(kind.span(), format!("`kind`: {error}"), None)).ok()?;
        let concurrency = usize::try_from(concurrency).unwrap_or(1);
        Some(Self { name, kind, input, condition, for_each, concurrency, on_error, span })
    }

    /// Whether it is done at all.
    ///
    /// # Errors
    /// If that cannot be said, given what there is.
    pub fn applies(&self, scope: &Scope) -> Result<bool, TemplateError> {
        self.condition.as_ref().map_or(Ok(true), |condition| condition.holds(scope))
    }

    /// Everything that it computes.
    pub(crate) fn formulas(&self) -> Vec<&Formula> {
        let OnError::Use(instead) = match &self.on_error {
            Some(on_error) => on_error,
            None => return self.own_formulas().collect(),
        };
        self.own_formulas().chain(instead.formulas()).collect()
    }

    fn own_formulas(&self) -> impl Iterator<Item = &Formula> {
        self.condition.iter().chain(&self.for_each).chain(self.input.formulas())
    }
}

/// An expression that stands without braces, because nothing else can stand there; with braces it is one all the same.
fn formula(text: toml::Spanned<String>, reading: &mut Reading<'_>) -> Option<Formula> {
    let bare = text.get_ref().trim();
    let bare = bare.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).unwrap_or(bare);
    Formula::read(bare).map_err(|message| reading.complain(text.span(), message, None)).ok()
}
