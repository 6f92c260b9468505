use std::time::Duration;

use raincheck_core::{Json, Labels, Priority, Problem, ProblemType, Tenant, Time, Webhook};
use raincheck_engine::{Submission, SubmitError, Submitted};
use raincheck_store::StoreError;

use crate::api::Api;
use crate::jobs::IdempotencyKey;
use crate::json;
use crate::problem::ApiError;

/// The label that says by which door a job came in.
const DOOR: &str = "door";

/// What a request in a dialect comes to.
pub(crate) struct Wish {
    /// The kind of job: a constant name.
    pub(crate) kind: &'static str,
    /// What its handler is given.
    pub(crate) input: Json,
    /// The dialect.
    pub(crate) door: &'static str,
    /// Labels besides the door's.
    pub(crate) labels: Vec<(&'static str, String)>,
    /// How urgent it is.
    pub(crate) priority: Priority,
    /// After this it is not started any more.
    pub(crate) deadline: Option<Time>,
    /// How long it stays readable; the default if left out.
    pub(crate) retention: Option<Duration>,
    /// Who is told of it.
    pub(crate) webhook: Option<Webhook>,
    /// The largest input, in bytes.
    pub(crate) input_bytes_max: usize,
}

impl Wish {
    /// A wish for a job of this kind from this door, with everything else as usual.
    pub(crate) fn new(api: &Api, door: &'static str, kind: &'static str, input: Json) -> Self {
        Self {
            kind,
            input,
            door,
            labels: Vec::new(),
            priority: Priority::default(),
            deadline: None,
            retention: None,
            webhook: None,
            input_bytes_max: api.settings.input_bytes_max,
        }
    }

    fn check(&self) -> Result<(), Problem> {
        if self.input.as_str().len() > self.input_bytes_max {
            let detail = format!("the request may have {} bytes; send less", self.input_bytes_max);
            return Err(Problem::new(ProblemType::BODY_TOO_LARGE, detail));
        }
        if !json::is_shallow(self.input.as_str()) {
            let detail = format!("the request is nested deeper than {} levels", json::DEPTH_MAX);
            return Err(Problem::new(ProblemType::INVALID_REQUEST, detail));
        }
        Ok(())
    }
}

/// Accepts a job: durable when this returns.
pub(crate) async fn submit(
    api: &Api,
    tenant: &Tenant,
    wish: Wish,
    key: &IdempotencyKey,
) -> Result<Submitted, ApiError> {
    wish.check()?;
    // The input and not the body: two paths may take the same body.
    let told = wish.webhook.as_ref().map(|webhook| Json::from_value(webhook).unwrap_or_default());
    let told = told.as_ref().map(|webhook| format!("{} ", webhook.as_str())).unwrap_or_default();
    let idempotency = key.single(tenant, format!("{} {told}{}", wish.kind, wish.input.as_str()).as_bytes());
    let mut labels: Labels = wish.labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    labels.insert(DOOR.to_owned(), wish.door.to_owned());
    let submission = Submission {
        tenant: tenant.clone(),
        labels,
        priority: wish.priority,
        deadline: wish.deadline,
        retention: wish.retention,
        idempotency,
        webhook: wish.webhook,
        ..Submission::new(wish.kind.parse().expect("a constant name"), wish.input)
    };
    let submitted = api.engine.submit(vec![submission]).await.map_err(|(_, error)| error)?;
    // One entry in, one out.
    Ok(submitted.into_iter().next().unwrap_or(Err(SubmitError::Store(StoreError::Stopped)))?)
}
