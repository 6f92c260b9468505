use std::str::FromStr;
use std::time::Duration;

use raincheck_core::{ConcurrencyKey, Priority, QueueName};
use serde_json::Value;

use crate::read::{Entries, Reading};
use crate::template::Formula;
use crate::{Scope, Template, TemplateError, duration};

/// The most jobs of a recipe that may wait unless it says otherwise.
const WAITING_MAX: i64 = 100_000;

/// How the jobs of a recipe are run, as its author wrote it: most of it may depend on the input.
#[derive(Debug, Default)]
pub struct JobOptions {
    priority: Option<Template>,
    queue: Option<Template>,
    deadline: Option<Template>,
    idempotency_key: Option<Template>,
    concurrency_key: Option<Template>,
    /// The longest that one attempt may take.
    pub timeout: Option<Duration>,
    /// How often they may fail.
    pub max_attempts: Option<u32>,
    /// How long they stay readable.
    pub retention: Option<Duration>,
    /// How many jobs may wait in their queue; more are refused until some have started.
    pub waiting_max: Option<usize>,
}

/// How one job is run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// How urgent it is.
    pub priority: Priority,
    /// Where it waits; the recipe's own queue if it does not say.
    pub queue: Option<QueueName>,
    /// How long after it was accepted it is given up.
    pub deadline: Option<Duration>,
    /// By what a request that is sent again is known, within the tenant.
    pub idempotency_key: Option<String>,
    /// Of jobs with the same key one is run at a time, in the order in which they came.
    pub concurrency_key: Option<ConcurrencyKey>,
}

impl JobOptions {
    pub(crate) fn read<'t>(mut entries: Entries<'t>, reading: &mut Reading<'t>) -> Self {
        let priority = fitting::<Priority>("priority", &mut entries, reading);
        let queue = fitting::<QueueName>("queue", &mut entries, reading);
        let deadline = fitting::<Lasting>("deadline", &mut entries, reading);
        let whole = |number| usize::try_from(number).ok();
        let options = Self {
            priority,
            queue,
            deadline,
            idempotency_key: entries.template("idempotency_key", reading),
            concurrency_key: entries.template("concurrency_key", reading),
            timeout: entries.duration("timeout", reading),
            max_attempts: entries
                .number("max_attempts", 1..=100, reading)
                .and_then(|number| u32::try_from(number).ok()),
            retention: entries.duration("retention", reading),
            waiting_max: entries.number("waiting_max", 1..=WAITING_MAX, reading).and_then(whole),
        };
        entries.finish(reading);
        options
    }

    /// How a job with the scope's input is run.
    ///
    /// # Errors
    /// If an expression comes to nothing, or to what cannot be.
    pub fn choose(&self, scope: &Scope) -> Result<Chosen, TemplateError> {
        Ok(Chosen {
            priority: computed::<Priority>(self.priority.as_ref(), scope)?.unwrap_or_default(),
            queue: computed(self.queue.as_ref(), scope)?,
            deadline: computed::<Lasting>(self.deadline.as_ref(), scope)?.map(|lasting| lasting.0),
            idempotency_key: computed(self.idempotency_key.as_ref(), scope)?,
            concurrency_key: computed(self.concurrency_key.as_ref(), scope)?,
        })
    }

    /// Everything that is computed.
    pub(crate) fn formulas(&self) -> Vec<&Formula> {
        let all = [&self.priority, &self.queue, &self.deadline, &self.idempotency_key, &self.concurrency_key];
        all.into_iter().flatten().flat_map(Template::formulas).collect()
    }
}

/// A duration as it is written.
struct Lasting(Duration);

impl FromStr for Lasting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        duration::parse(text).map(Self)
    }
}

/// A value that is checked at once if nothing in it is computed.
fn fitting<'t, T: FromStr<Err: std::fmt::Display>>(
    name: &'static str,
    entries: &mut Entries<'t>,
    reading: &mut Reading<'t>,
) -> Option<Template> {
    let value = entries.take(name)?;
    let template = reading.template(&value)?;
    if let Template::Fixed(fixed) = &template
        && let Err(message) = of_value::<T>(fixed)
    {
        reading.complain(value.span(), format!("`{name}`: {message}"), None);
        return None;
    }
    Some(template)
}

/// What is nothing or empty is as if it were not there.
fn computed<T: FromStr<Err: std::fmt::Display>>(
    template: Option<&Template>,
    scope: &Scope,
) -> Result<Option<T>, TemplateError> {
    let Some(template) = template else { return Ok(None) };
    let value = template.render(scope)?;
    let expression = || template.formulas().first().map(|formula| formula.source().to_owned()).unwrap_or_default();
    of_value(&value).map_err(|reason| TemplateError { expression: expression(), reason })
}

fn of_value<T: FromStr<Err: std::fmt::Display>>(value: &Value) -> Result<Option<T>, String> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err("it should be text".to_owned()),
    };
    text.parse().map(Some).map_err(|error: T::Err| error.to_string())
}
