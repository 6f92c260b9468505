use std::marker::PhantomData;
use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::{Backoff, Json, Kind, Misfit, Problem, ProblemType};
use raincheck_engine::{About, BlockingContext, BlockingHandler, Context, Failure, Handler};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A handler that is a function: its input is read as `I`, and refused before there is a job if it cannot be; its output is
/// the result. Made by [`handler`] and [`blocking`], and given to [`Builder::register`](crate::Builder::register).
pub struct Typed<F, I> {
    about: About,
    function: F,
    check: Option<Check<I>>,
    input: PhantomData<fn() -> I>,
}

/// What an input of the right type must hold besides.
type Check<I> = Box<dyn Fn(&I) -> Result<(), Problem> + Send + Sync>;

/// A handler of the kind of this name, with the usual limits: 3 attempts of up to 20 minutes, 256 at once.
///
/// ```
/// use std::time::Duration;
/// use raincheck::{Context, Failure, Problem, ProblemType, handler};
///
/// async fn fetch(_: Context, url: String) -> Result<usize, Failure> {
///     Ok(url.len())
/// }
///
/// let fetch = handler("page.fetch", fetch)
///     .summary("Fetches a page.")
///     .timeout(Duration::from_secs(30))
///     .max_attempts(5)
///     .check(|url| {
///         let is_web = url.starts_with("https://");
///         let refusal = || Problem::new(ProblemType::INVALID_INPUT, "expected an address that begins with https://");
///         if is_web { Ok(()) } else { Err(refusal().at("/input")) }
///     });
/// let raincheck = raincheck::Raincheck::builder().register(fetch);
/// ```
///
/// # Panics
/// If the name is none of a kind: 1 to 64 letters, digits and `._-`, of which the first is a letter or digit.
#[track_caller]
pub fn handler<F, Fut, I, O>(kind: &str, function: F) -> Typed<F, I>
where
    F: Fn(Context, I) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, Failure>> + Send,
    I: DeserializeOwned + JsonSchema,
    O: Serialize,
{
    Typed::new(kind, function)
}

/// The same for work that blocks: computing, reading files, calling C libraries. Each attempt has a thread of its own, of
/// which there are as many as processors unless [`Typed::concurrency`] says otherwise. For
/// [`Builder::register_blocking`](crate::Builder::register_blocking).
///
/// # Panics
/// As [`handler`].
#[track_caller]
pub fn blocking<F, I, O>(kind: &str, function: F) -> Typed<F, I>
where
    F: Fn(&BlockingContext, I) -> Result<O, Failure> + Send + Sync + 'static,
    I: DeserializeOwned + JsonSchema,
    O: Serialize,
{
    Typed::new(kind, function).concurrency(std::thread::available_parallelism().map_or(1, usize::from))
}

impl<F, I: JsonSchema> Typed<F, I> {
    #[track_caller]
    fn new(kind: &str, function: F) -> Self {
        let Ok(kind) = kind.parse::<Kind>() else {
            panic!("{kind:?} cannot name a kind: 1 to 64 letters, digits and ._- can, beginning with a letter or digit")
        };
        let schema = Json::from_value(&schemars::schema_for!(I)).unwrap_or_default();
        Self { about: About::new(kind, "", schema), function, check: None, input: PhantomData }
    }

    /// What it does, in a sentence, for `GET /v1/kinds`.
    #[must_use]
    pub fn summary(mut self, summary: &'static str) -> Self {
        self.about.summary = summary;
        self
    }

    /// How often a job may fail before it has failed, unless it asks otherwise.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.about.max_attempts = attempts;
        self
    }

    /// The longest that one attempt may take, unless the job asks otherwise.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.about.timeout = timeout;
        self
    }

    /// The waits between attempts.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.about.backoff = backoff;
        self
    }

    /// How many attempts run at once; at least one.
    #[must_use]
    pub fn concurrency(mut self, attempts: usize) -> Self {
        self.about.concurrency = attempts.max(1);
        self
    }

    /// What an input must hold that its type cannot say. Asked before a job is accepted, so it must not wait for anything.
    #[must_use]
    pub fn check(mut self, check: impl Fn(&I) -> Result<(), Problem> + Send + Sync + 'static) -> Self {
        self.check = Some(Box::new(check));
        self
    }
}

impl<F, I: DeserializeOwned> Typed<F, I> {
    fn read(&self, input: &Json) -> Result<I, Problem> {
        let mut deserializer = serde_json::Deserializer::from_str(input.as_str());
        let input = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let Misfit { pointer, detail } = Misfit::new("/input", &error);
            Problem::new(ProblemType::INVALID_INPUT, detail).at(pointer)
        })?;
        self.check.as_ref().map_or(Ok(()), |check| check(&input))?;
        Ok(input)
    }
}

#[async_trait]
impl<F, Fut, I, O> Handler for Typed<F, I>
where
    F: Fn(Context, I) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, Failure>> + Send,
    I: DeserializeOwned + Send + 'static,
    O: Serialize + Send,
{
    fn about(&self) -> About {
        self.about.clone()
    }

    async fn check(&self, input: &Json) -> Result<(), Problem> {
        self.read(input).map(drop)
    }

    async fn run(&self, context: Context, input: Json) -> Result<Json, Failure> {
        // An input that was accepted by an earlier version of the program may not fit this one.
        let input = self.read(&input)?;
        output(&(self.function)(context, input).await?)
    }
}

impl<F, I, O> BlockingHandler for Typed<F, I>
where
    F: Fn(&BlockingContext, I) -> Result<O, Failure> + Send + Sync + 'static,
    I: DeserializeOwned + 'static,
    O: Serialize,
{
    fn about(&self) -> About {
        self.about.clone()
    }

    fn check(&self, input: &Json) -> Result<(), Problem> {
        self.read(input).map(drop)
    }

    fn run(&self, context: &BlockingContext, input: Json) -> Result<Json, Failure> {
        let input = self.read(&input)?;
        output(&(self.function)(context, input)?)
    }
}

fn output<O: Serialize>(output: &O) -> Result<Json, Failure> {
    Json::from_value(output)
        .map_err(|error| Failure::permanent(format!("the result cannot be written as JSON: {error}")))
}
