use std::time::Duration;

use raincheck_core::{Json, Kind, NameError, Priority, Problem, ProblemType, Time};
use raincheck_engine::{Submission, SubmitError};
use raincheck_store::{Idempotency, StoreError};
use serde::Serialize;

use crate::{JobHandle, Raincheck};

/// The longest idempotency key, in bytes.
const KEY_LENGTH_MAX: usize = 255;

/// A wish for a job, which becomes one when it is [sent](Self::send). What is left out is chosen by the kind.
#[must_use = "a wish that is not sent is no job"]
pub struct Submit {
    raincheck: Raincheck,
    /// The first thing that is wrong is told when it is sent.
    wish: Result<Submission, Problem>,
    delay: Option<Duration>,
    key: Option<String>,
}

impl Submit {
    pub(crate) fn new<I: Serialize + ?Sized>(raincheck: Raincheck, kind: &str, input: &I) -> Self {
        let (wish, delay, key) = (wish(&raincheck, kind, input), None, None);
        Self { raincheck, wish, delay, key }
    }

    /// How urgent it is within its queue: `P0` (first) to `P9` (last); `P5` unless given.
    pub fn priority(self, priority: Priority) -> Self {
        self.with(|wish| wish.priority = priority)
    }

    /// The queue in which it waits; that of the kind's name unless given.
    pub fn queue(self, name: &str) -> Self {
        let queue = name.parse();
        self.with_name("/queue", queue, |wish, queue| wish.queue = Some(queue))
    }

    /// Whose it is; `default` unless given. Over HTTP only those who belong to the tenant see it.
    pub fn tenant(self, name: &str) -> Self {
        let tenant = name.parse();
        self.with_name("/tenant", tenant, |wish, tenant| wish.tenant = tenant)
    }

    /// A word to find it by.
    pub fn label(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|wish| drop(wish.labels.insert(name.into(), value.into())))
    }

    /// Not before this long from now.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// After this it is not started any more, and a running attempt is stopped.
    pub fn deadline(self, deadline: Time) -> Self {
        self.with(|wish| wish.deadline = Some(deadline))
    }

    /// The longest that one attempt may take.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|wish| wish.timeout = Some(timeout))
    }

    /// How often it may fail before it has failed: 1 to 100.
    pub fn max_attempts(self, attempts: u32) -> Self {
        self.with(|wish| wish.max_attempts = Some(attempts))
    }

    /// How long it stays readable once it has ended; 7 days unless given.
    pub fn retention(self, retention: Duration) -> Self {
        self.with(|wish| wish.retention = Some(retention))
    }

    /// The caller's own name for the wish: sent again under the same key, it gives the same job. A key is good for one kind and
    /// input of its tenant.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sends it: when this returns, the job is on stable storage.
    ///
    /// # Errors
    /// [`SubmitError::Refused`] with what is wrong and where, if there is no such kind, or its handler cannot read the input;
    /// no job exists then. [`SubmitError::Quota`] if too many wait. [`SubmitError::Store`] if it was not stored; after
    /// [`StoreError::Unknown`] it may have been, and can be sent again under the same idempotency key.
    pub async fn send(self) -> Result<JobHandle, SubmitError> {
        let Self { raincheck, wish, delay, key } = self;
        let mut wish = wish.map_err(SubmitError::Refused)?;
        wish.run_at = delay.map(|delay| raincheck.engine().clock().now().after(delay));
        if let Some(key) = key {
            if !(1..=KEY_LENGTH_MAX).contains(&key.len()) {
                let problem = refused("/idempotency_key", "an idempotency key has 1 to 255 bytes");
                return Err(SubmitError::Refused(problem));
            }
            let request = format!("{}\n{}", wish.kind.as_str(), wish.input.as_str());
            wish.idempotency = Some(Idempotency::of(&wish.tenant, key.as_bytes(), None, request.as_bytes()));
        }
        let submitted = raincheck.engine().submit(vec![wish]).await.map_err(|(_, error)| error)?;
        // One in, one out.
        let submitted = submitted.into_iter().next().unwrap_or(Err(SubmitError::Store(StoreError::Stopped)))?;
        let is_new = matches!(submitted, raincheck_engine::Submitted::New(_));
        Ok(JobHandle::new(raincheck, submitted.job().id, is_new))
    }

    fn with(mut self, change: impl FnOnce(&mut Submission)) -> Self {
        if let Ok(wish) = &mut self.wish {
            change(wish);
        }
        self
    }

    fn with_name<T>(
        mut self,
        pointer: &str,
        name: Result<T, NameError>,
        change: impl FnOnce(&mut Submission, T),
    ) -> Self {
        match name {
            Ok(name) => self.with(|wish| change(wish, name)),
            Err(error) => {
                self.wish = self.wish.and(Err(refused(pointer, error.to_string())));
                self
            }
        }
    }
}

fn wish<I: Serialize + ?Sized>(raincheck: &Raincheck, kind: &str, input: &I) -> Result<Submission, Problem> {
    let kind: Kind = kind.parse().map_err(|error: NameError| refused("/kind", error.to_string()))?;
    let input = Json::from_value(input)
        .map_err(|error| refused("/input", format!("the input cannot be written as JSON: {error}")))?;
    let bytes_max = raincheck.input_bytes_max();
    if input.as_str().len() > bytes_max {
        let detail = format!("an input may have {bytes_max} bytes; put what is larger where the handler can read it");
        return Err(Problem::new(ProblemType::BODY_TOO_LARGE, detail).at("/input"));
    }
    Ok(Submission::new(kind, input))
}

fn refused(pointer: &str, detail: impl Into<String>) -> Problem {
    Problem::new(ProblemType::INVALID_REQUEST, detail).at(pointer)
}
