use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path as FilePath, PathBuf};

use raincheck_core::{ProblemType, QueueName};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use toml::Spanned;

use crate::given;
use crate::input::{Sent, collect, complete};
use crate::read::{Entries, Reading};
use crate::references;
use crate::route::Path;
use crate::{
    Answer, Check, Chosen, Conversation, Field, FieldType, FollowUp, JobOptions, Method, Misfit, Mistake, Page,
    PageKind, Require, Route, Scope, Step, Template, TemplateError, nearest,
};

/// The most steps of a recipe.
const STEPS_MAX: usize = 100;
/// The most follow-ups of a recipe.
const FOLLOW_UPS_MAX: usize = 16;
/// The most checks of an input.
const CHECKS_MAX: usize = 16;
/// The largest recipe, in bytes.
pub const RECIPE_MAX: usize = 1 << 20;

/// A slow endpoint, as a file describes it.
#[derive(Debug)]
pub struct Recipe {
    /// Its name.
    pub name: String,
    /// What it does, in a sentence.
    pub summary: String,
    /// Where it is reached.
    pub route: Route,
    /// What it is given.
    pub input: Vec<Field>,
    /// What must hold of all that it is given.
    pub checks: Vec<Check>,
    /// How its jobs are run.
    pub job: JobOptions,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// The conversation that its jobs belong to.
    pub conversation: Option<Conversation>,
    /// What follows a job that has completed.
    pub follow_ups: Vec<FollowUp>,
    /// What must hold for a job to have completed.
    pub require: Option<Require>,
    /// What a job gives; the result of the last step if it does not say.
    pub result: Option<Template>,
    /// The answer to a request that was accepted.
    pub accepted: Answer,
    /// The routes beside its own.
    pub pages: BTreeMap<PageKind, Page>,
    /// The answers to requests that were refused, by the problem's name; `*` for all others.
    pub errors: BTreeMap<String, Answer>,
    /// The file, for messages.
    pub path: PathBuf,
    /// What the file holds.
    pub source: String,
    /// 64 hexadecimal digits that no other file's content has.
    pub version: String,
}

impl Recipe {
    /// Reads a recipe.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(path: &FilePath, text: &str) -> Result<Self, Vec<Mistake>> {
        let mut reading = Reading::new(path, text);
        if text.len() > RECIPE_MAX {
            reading.complain(0..0, format!("a recipe has {RECIPE_MAX} bytes at most"), None);
            return Err(reading.mistakes);
        }
        let recipe = Self::of(text, &mut reading);
        if let Some(recipe) = &recipe {
            references::check(recipe, &mut reading);
        }
        reading.mistakes.sort_by_key(|mistake| mistake.line.number());
        match recipe {
            Some(recipe) if reading.mistakes.is_empty() => Ok(recipe),
            _ => Err(reading.mistakes),
        }
    }

    fn of<'t>(text: &str, reading: &mut Reading<'t>) -> Option<Self> {
        let mut top = reading.top();
        let name = top.text("name", reading);
        let summary = top.text("summary", reading).map(Spanned::into_inner).unwrap_or_default();
        let result = top.template("result", reading);
        let route = match top.take("route") {
            Some(value) => reading.table("[route]".to_owned(), value).and_then(|entries| route(entries, reading)),
            None => {
                let hint = "such as [route] and below it post = \"/api/score\"".to_owned();
                reading.complain(0..0, "the recipe does not say where it is reached".to_owned(), Some(hint));
                None
            }
        };
        let input = top.take("input").and_then(|value| reading.table("[input]".to_owned(), value));
        let input = Field::read_all(input, route.as_ref(), reading);
        let checks = checks(&mut top, &input, reading);
        let job = top.take("job").and_then(|value| reading.table("[job]".to_owned(), value));
        let job = job.map(|entries| JobOptions::read(entries, reading)).unwrap_or_default();
        let conversation = top.take("conversation").and_then(|value| reading.table("[conversation]".to_owned(), value));
        let conversation = conversation.and_then(|entries| Conversation::read(entries, reading));
        let steps = steps(&mut top, reading);
        let follow_ups = follow_ups(&mut top, reading);
        let require = top.take("require").and_then(|value| reading.table("[require]".to_owned(), value));
        let require = require.and_then(|entries| Require::read(entries, reading));
        let accepted = top.take("accepted").and_then(|value| Answer::read("[accepted]", value, reading));
        let mut pages = BTreeMap::new();
        for kind in PageKind::ALL {
            let page = top.take(kind.name()).and_then(|value| Page::read(kind, value, reading));
            pages.extend(page.map(|page| (kind, page)));
        }
        let errors = errors(&mut top, reading);
        top.finish(reading);
        let name = name.map(|name| checked_name(name, reading)).unwrap_or_else(|| {
            reading.complain(0..0, "the recipe has no `name`".to_owned(), Some("such as name = \"score\"".to_owned()));
            String::new()
        });
        let accepted = accepted.unwrap_or_default();
        let (path, source, version) = (reading.path().to_owned(), text.to_owned(), version(text));
        Some(Self {
            name,
            summary,
            route: route?,
            input,
            checks,
            job,
            conversation,
            steps,
            follow_ups,
            require,
            result,
            accepted,
            pages,
            errors,
            path,
            source,
            version,
        })
    }

    /// The input that a request comes to.
    ///
    /// # Errors
    /// Everything that is wrong with what was sent.
    pub fn collect(&self, sent: Sent) -> Result<Value, Vec<Misfit>> {
        self.checked(collect(&self.input, sent, self.route.ignore_unknown)?)
    }

    /// An input that came whole, with what was left out of it.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn complete(&self, input: Value) -> Result<Value, Vec<Misfit>> {
        self.checked(complete(&self.input, input)?)
    }

    fn checked(&self, input: Value) -> Result<Value, Vec<Misfit>> {
        let misfits: Vec<Misfit> = self.checks.iter().filter_map(|check| check.misfit(&input)).collect();
        if misfits.is_empty() { Ok(input) } else { Err(misfits) }
    }

    /// How a job with this input is run. It waits in the recipe's own queue unless it says otherwise.
    ///
    /// # Errors
    /// If an expression comes to nothing, or to what cannot be.
    pub fn choose(&self, input: &Value) -> Result<Chosen, TemplateError> {
        let chosen = self.job.choose(&Scope::of_input(input))?;
        let key = chosen.idempotency_key.map(|key| format!("{}:{key}", self.name));
        Ok(Chosen { queue: chosen.queue.or_else(|| self.name.parse().ok()), idempotency_key: key, ..chosen })
    }

    /// What the handler of recipes is given for a job with this input.
    #[must_use]
    pub fn order(&self, input: &Value) -> Value {
        json!({ "recipe": self.name, "version": self.version, "input": input })
    }

    /// What tells one input from another: a file that was sent again has another id, and is the same by its content.
    #[must_use]
    pub fn fingerprint(&self, input: &Value) -> Vec<u8> {
        let mut input = input.clone();
        for field in self.input.iter().filter(|field| matches!(field.holds, FieldType::File(_))) {
            if let Some(file) = input.get_mut(&field.name).and_then(Value::as_object_mut) {
                file.remove("id");
            }
        }
        format!("{}\0{input}", self.name).into_bytes()
    }

    /// The answer to a problem of this name, if the recipe has one.
    #[must_use]
    pub fn error(&self, problem: &str) -> Option<&Answer> {
        self.errors.get(problem).or_else(|| self.errors.get("*"))
    }

    /// Every route of the recipe, and what is there; nothing for its own.
    pub fn routes(&self) -> impl Iterator<Item = (Method, &Path, Option<PageKind>)> {
        let pages = self.pages.iter().map(|(kind, page)| (page.method, &page.path, Some(*kind)));
        std::iter::once((self.route.method, &self.route.path, None)).chain(pages)
    }

    /// What is wrong with what its steps do, given the kinds that there are and the JSON Schema of what each takes.
    #[must_use]
    pub fn check_calls(&self, kinds: &BTreeMap<String, Value>) -> Vec<Mistake> {
        let mut reading = Reading::new(&self.path, &self.source);
        for call in self.steps.iter().flat_map(Step::calls) {
            if let Some(schema) = kinds.get(call.kind.as_str()) {
                given::check(call, schema, &mut reading);
                continue;
            }
            let known: Vec<&str> = kinds.keys().map(String::as_str).collect();
            let near =
                nearest(call.kind.as_str(), known.iter().copied()).map(|near| format!("did you mean \"{near}\"?"));
            let hint = near.unwrap_or_else(|| format!("there are: {}", known.join(", ")));
            reading.complain(call.span.clone(), format!("there is no kind {:?} here", call.kind.as_str()), Some(hint));
        }
        reading.mistakes.sort_by_key(|mistake| mistake.line.number());
        reading.mistakes
    }

    /// Where the path of one of its routes stands, to complain of it.
    pub(crate) fn complain_of(&self, piece: &str, message: String, hint: Option<String>) -> Mistake {
        let place = Reading::new(&self.path, &self.source).find(piece, 0).unwrap_or(0..0);
        self.complain_at(place, message, hint)
    }

    pub(crate) fn complain_at(&self, place: std::ops::Range<usize>, message: String, hint: Option<String>) -> Mistake {
        let mut reading = Reading::new(&self.path, &self.source);
        reading.complain(place, message, hint);
        reading.mistakes.remove(0)
    }
}

fn checked_name(name: Spanned<String>, reading: &mut Reading<'_>) -> String {
    // It is that of the queue in which its jobs wait.
    if let Err(error) = name.get_ref().parse::<QueueName>() {
        reading.complain(name.span(), format!("`name`: {error}"), None);
    }
    name.into_inner()
}

fn route<'t>(mut entries: Entries<'t>, reading: &mut Reading<'t>) -> Option<Route> {
    let span = entries.span();
    let mut found = Vec::new();
    for (word, method) in Method::ALL {
        found.extend(entries.text(word, reading).map(|path| (method, path)));
    }
    let public = entries.flag("public", reading).unwrap_or(false);
    let ignore_unknown = entries.flag("ignore_unknown", reading).unwrap_or(false);
    let per_address = entries.number("per_address", 1..=100_000, reading).and_then(|number| u32::try_from(number).ok());
    entries.finish(reading);
    let [(method, path)] = &found[..] else {
        let hint = Some("such as post = \"/api/score\"".to_owned());
        reading.complain(span, "[route] has one method with its path".to_owned(), hint);
        return None;
    };
    match Path::read(path.get_ref()) {
        Ok(path) => Some(Route { method: *method, path, public, per_address, ignore_unknown }),
        Err(message) => {
            reading.complain(path.span(), message, None);
            None
        }
    }
}

fn steps<'t>(top: &mut Entries<'t>, reading: &mut Reading<'t>) -> Vec<Step> {
    let entries = top.take("steps").and_then(|value| reading.table("[steps]".to_owned(), value));
    let named = entries.map(|mut entries| entries.rest()).unwrap_or_default();
    let (count, first) = (named.len(), named.first().map(|entry| entry.name.span()));
    if count == 0 || count > STEPS_MAX {
        let hint = Some("such as [steps.answer] and below it kind = \"llm.chat\"".to_owned());
        let message = format!("a recipe has from 1 to {STEPS_MAX} steps, each in a table of its own");
        reading.complain(first.unwrap_or(0..0), message, hint);
    }
    let mut steps: Vec<Step> = Vec::with_capacity(count);
    for entry in named {
        let Some(mut step) = Step::read(entry, reading) else { continue };
        step.resolve(&steps, reading);
        steps.push(step);
    }
    steps
}

fn follow_ups<'t>(top: &mut Entries<'t>, reading: &mut Reading<'t>) -> Vec<FollowUp> {
    let entries = top.take("follow_ups").and_then(|value| reading.table("[follow_ups]".to_owned(), value));
    let named = entries.map(|mut entries| entries.rest()).unwrap_or_default();
    if let Some(beyond) = named.get(FOLLOW_UPS_MAX) {
        reading.complain(beyond.name.span(), format!("a recipe has {FOLLOW_UPS_MAX} follow-ups at most"), None);
    }
    named.into_iter().filter_map(|entry| FollowUp::read(entry, reading)).collect()
}

fn checks<'t>(top: &mut Entries<'t>, input: &[Field], reading: &mut Reading<'t>) -> Vec<Check> {
    let entries = top.take("checks").and_then(|value| reading.table("[checks]".to_owned(), value));
    let named = entries.map(|mut entries| entries.rest()).unwrap_or_default();
    if let Some(beyond) = named.get(CHECKS_MAX) {
        reading.complain(beyond.name.span(), format!("a recipe has {CHECKS_MAX} checks at most"), None);
    }
    let fields: Vec<&str> = input.iter().map(|field| field.name.as_str()).collect();
    named.into_iter().filter_map(|entry| Check::read(entry, &fields, reading)).collect()
}

fn errors<'t>(top: &mut Entries<'t>, reading: &mut Reading<'t>) -> BTreeMap<String, Answer> {
    let entries = top.take("errors").and_then(|value| reading.table("[errors]".to_owned(), value));
    let named = entries.map(|mut entries| entries.rest()).unwrap_or_default();
    let mut errors = BTreeMap::new();
    for entry in named {
        let (span, name) = (entry.name.span(), entry.name.into_inner());
        if name != "*" && !ProblemType::ALL.iter().any(|problem| problem.name == name) {
            let near = nearest(&name, ProblemType::ALL.iter().map(|problem| problem.name));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            let hint = hint.unwrap_or_else(|| "docs/problems has a page for each; `*` is every other".to_owned());
            reading.complain(span, format!("there is no problem `{name}`"), Some(hint));
            continue;
        }
        if let Some(answer) = Answer::read(&format!("[errors.{name}]"), entry.value, reading) {
            errors.insert(name, answer);
        }
    }
    errors
}

fn version(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut version, byte| {
        let _ = write!(version, "{byte:02x}");
        version
    })
}
