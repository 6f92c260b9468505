use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use raincheck_core::Kind;
use serde_json::Value;
use toml::Spanned;

use crate::read::{Entries, Entry, Reading};
use crate::template::Formula;
use crate::{Scope, Template, TemplateError, nearest};

/// How many items of a loop are worked on at once unless the recipe says otherwise.
const CONCURRENCY_DEFAULT: i64 = 4;
/// And at most.
const CONCURRENCY_MAX: i64 = 64;
/// How often a step may be tried.
const ATTEMPTS_MAX: i64 = 100;

/// A part of a recipe's work: done once, and its result kept.
#[derive(Debug)]
pub struct Step {
    /// Its name, by which others refer to its result.
    pub name: String,
    /// What is done.
    pub call: Call,
    /// The steps, by their place in the recipe, that must have ended before it begins; all above it unless it says `needs`.
    pub needs: BTreeSet<usize>,
    /// It is left out, and its result is nothing, unless this holds.
    pub condition: Option<Formula>,
    /// It is done for each item of this list, and its result is the list of what that gave.
    pub for_each: Option<Formula>,
    /// How many items are worked on at once.
    pub concurrency: usize,
    /// What is told while it is done.
    pub message: Option<Template>,
    /// Whether its text is shown while it grows.
    pub stream: bool,
    /// The longest that one try may take.
    pub timeout: Option<Duration>,
    /// How long after it first began no more is tried.
    pub deadline: Option<Duration>,
    /// How often it may fail; as often as the job if it does not say.
    pub max_attempts: Option<u32>,
    /// What becomes of its failure; without it the job fails.
    pub on_error: Option<OnError>,
    /// The names that it says it needs, until they are looked up.
    pub(crate) named_needs: Option<Vec<Spanned<String>>>,
    /// Where it stands in the file.
    pub(crate) span: Range<usize>,
}

/// A kind of work and what it is given.
#[derive(Debug)]
pub struct Call {
    /// What sort of work.
    pub kind: Kind,
    /// What it is given.
    pub input: Template,
    /// Where the kind stands in the file.
    pub(crate) span: Range<usize>,
}

/// What becomes of a step's failure. The job is marked as degraded.
#[derive(Debug)]
pub enum OnError {
    /// Its result is this instead.
    Use(Template),
    /// This is done instead.
    Do(Call),
}

impl Step {
    pub(crate) fn read<'t>(entry: Entry<'t>, reading: &mut Reading<'t>) -> Option<Self> {
        let (name, span, value) = entry.named(reading)?;
        let title = format!("[steps.{name}]");
        let mut entries = reading.table(title.clone(), value)?;
        let call = Call::read(&mut entries, reading);
        let named_needs = entries.take("needs").and_then(|value| reading.texts("needs", &value));
        let condition = entries.text("if", reading).and_then(|text| formula(&text, reading));
        let for_each = entries.text("for_each", reading).and_then(|text| formula(&text, reading));
        let concurrency = entries.number("concurrency", 1..=CONCURRENCY_MAX, reading).unwrap_or(CONCURRENCY_DEFAULT);
        let message = entries.template("message", reading);
        let stream = entries.flag("stream", reading).unwrap_or(false);
        let timeout = entries.duration("timeout", reading);
        let deadline = entries.duration("deadline", reading);
        let max_attempts = entries.number("max_attempts", 1..=ATTEMPTS_MAX, reading);
        let on_error = entries.take("on_error").and_then(|value| {
            let entries = reading.table(format!("[steps.{name}.on_error]"), value)?;
            OnError::read(entries, reading)
        });
        entries.finish(reading);
        let Some(call) = call? else {
            let hint = "such as kind = \"llm.chat\"".to_owned();
            reading.complain(span, format!("{title} does not say its `kind`"), Some(hint));
            return None;
        };
        Some(Self {
            name,
            call,
            needs: BTreeSet::new(),
            condition,
            for_each,
            concurrency: usize::try_from(concurrency).unwrap_or(1),
            message,
            stream,
            timeout,
            deadline,
            max_attempts: max_attempts.and_then(|number| u32::try_from(number).ok()),
            on_error,
            named_needs,
            span,
        })
    }

    /// Whether it is done at all.
    ///
    /// # Errors
    /// If that cannot be said, given what there is.
    pub fn applies(&self, scope: &Scope) -> Result<bool, TemplateError> {
        self.condition.as_ref().map_or(Ok(true), |condition| condition.holds(scope))
    }

    /// Whether what it does can be said from the input of the recipe alone, without a step having been done.
    #[must_use]
    pub fn follows_from_input(&self) -> bool {
        let root = |reference: &str| reference.split('.').next() == Some("input");
        self.for_each.is_none()
            && self
                .condition
                .iter()
                .chain(self.call.input.formulas())
                .all(|formula| formula.references().iter().all(|name| root(name)))
    }

    /// Everything that it does, in whatever case.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        let instead = match &self.on_error {
            Some(OnError::Do(call)) => Some(call),
            _ => None,
        };
        std::iter::once(&self.call).chain(instead)
    }

    /// Everything that it computes while it is done.
    pub(crate) fn formulas(&self) -> Vec<&Formula> {
        let message = self.message.iter().flat_map(Template::formulas);
        self.condition.iter().chain(&self.for_each).chain(self.call.input.formulas()).chain(message).collect()
    }

    /// What is computed when it has failed.
    pub(crate) fn formulas_on_error(&self) -> Vec<&Formula> {
        match &self.on_error {
            Some(OnError::Use(template) | OnError::Do(Call { input: template, .. })) => template.formulas(),
            None => Vec::new(),
        }
    }

    /// Looks up what it needs: steps above it, and what those need.
    pub(crate) fn resolve(&mut self, above: &[Self], reading: &mut Reading<'_>) {
        let Some(names) = self.named_needs.take() else {
            self.needs = (0..above.len()).collect();
            return;
        };
        for name in names {
            let Some(at) = above.iter().position(|step| step.name == *name.get_ref()) else {
                let near = nearest(name.get_ref(), above.iter().map(|step| step.name.as_str()));
                let hint = near.map(|near| format!("did you mean \"{near}\"?"));
                let message = format!("`needs`: there is no step {:?} above this one", name.get_ref());
                reading.complain(name.span(), message, hint);
                continue;
            };
            self.needs.insert(at);
            self.needs.extend(&above[at].needs);
        }
    }
}

impl Call {
    /// `None` if something is wrong with it; `Some(None)` if there is none.
    #[expect(clippy::option_option, reason = "what is missing is told otherwise than what is wrong")]
    fn read<'t>(entries: &mut Entries<'t>, reading: &mut Reading<'t>) -> Option<Option<Self>> {
        let kind = entries.text("kind", reading);
        let input = entries.template("input", reading).unwrap_or(Template::Fixed(Value::Null));
        let Some(kind) = kind else { return Some(None) };
        let span = kind.span();
        let parsed = kind.get_ref().parse();
        let kind = parsed.map_err(|error| reading.complain(span.clone(), format!("`kind`: {error}"), None)).ok()?;
        Some(Some(Self { kind, input, span }))
    }
}

impl OnError {
    fn read<'t>(mut entries: Entries<'t>, reading: &mut Reading<'t>) -> Option<Self> {
        let span = entries.span();
        let instead = entries.template("use", reading);
        let call = Call::read(&mut entries, reading);
        entries.finish(reading);
        match (instead, call?) {
            (Some(instead), None) => Some(Self::Use(instead)),
            (None, Some(call)) => Some(Self::Do(call)),
            _ => {
                let hint = "either use = \"...\", or kind = \"...\" and its input".to_owned();
                reading.complain(span, "`on_error` says what there is instead".to_owned(), Some(hint));
                None
            }
        }
    }
}

/// An expression that stands without braces, because nothing else can stand there; with braces it is one all the same.
pub(crate) fn formula(text: &Spanned<String>, reading: &mut Reading<'_>) -> Option<Formula> {
    let bare = text.get_ref().trim();
    let bare = bare.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).unwrap_or(bare);
    Formula::read(bare).map_err(|message| reading.complain(text.span(), message, None)).ok()
}
