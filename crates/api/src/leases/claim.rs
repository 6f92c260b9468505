use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_core::{Fence, Job, Json, Kind, Openings, Problem, ProblemType, StepRecord, Time, Want};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::attempt;
use crate::api::Api;
use crate::auth::{Caller, Worker};
use crate::body::JsonBody;
use crate::jobs::{JobView, StepView};
use crate::json::Object;
use crate::number::{Seconds, Whole};
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// Kinds in one request.
const KINDS_MAX: usize = 100;
/// Jobs leased in one request.
const JOBS_MAX: u32 = 256;
/// The name of a worker, in bytes.
const WORKER_NAME_MAX: usize = 64;
/// How long a lease may last without a heartbeat.
pub(super) const LEASE: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);

/// A worker that can run more jobs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeaseRequest {
    /// The worker's own name, for people who look at a job's log.
    #[schemars(length(min = 1, max = 64))]
    worker: String,
    /// What it can run.
    #[schemars(length(min = 1, max = 100))]
    kinds: Vec<Object<Wanted>>,
    /// How long the leases last without a heartbeat, in seconds: 1 to 300; 15 if left out.
    #[schemars(with = "Option<f64>", range(min = 1, max = 300))]
    lease_seconds: Option<Seconds>,
    /// How many seconds to wait until there is a job: up to 60; not at all if left out.
    #[schemars(with = "Option<f64>", range(min = 0, max = 60))]
    wait: Option<Seconds>,
}

/// A kind that a worker can run, and how many of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// The kind: an external one, which the server has no handler for.
    #[schemars(with = "String")]
    kind: Kind,
    /// How many jobs of it at most: 1 to 256.
    #[schemars(with = "u32", range(min = 1, max = 256))]
    max: Whole,
}

/// The jobs that a worker was given.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ClaimReply<'a> {
    /// Each is to be run now; none if there was nothing to do.
    leases: Vec<LeaseView<'a>>,
}

/// A job under a lease.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Lease")]
struct LeaseView<'a> {
    /// The job, now running.
    job: JobView<'a>,
    /// The token that goes with everything that is written to this attempt.
    #[schemars(with = "u64")]
    fence: Fence,
    /// What is to be worked on.
    #[schemars(with = "serde_json::Value")]
    input: &'a Json,
    /// What earlier attempts recorded, and is not to be done again.
    #[schemars(with = "Vec<StepView>")]
    steps: &'a [StepRecord],
    /// The longest that the attempt may take, in seconds. The worker keeps to it.
    timeout: f64,
    /// When the lease lapses without a heartbeat.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    lease_expires_at: Option<Time>,
}

/// `POST /v1/leases`: leases jobs to a worker.
pub(crate) async fn claim(
    State(api): State<Arc<Api>>,
    caller: Caller<Worker>,
    query: Query,
    body: JsonBody,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    let request: LeaseRequest = body.parse()?;
    drop(body);
    if !(1..=WORKER_NAME_MAX).contains(&request.worker.len()) {
        return Err(invalid("/worker", "a worker has a name of 1 to 64 bytes"));
    }
    let lease = length(request.lease_seconds, &api)?;
    let wants = wants(&api, request.kinds)?;
    let wait = request.wait.map_or(Duration::ZERO, |Seconds(wait)| wait.min(api.settings.wait_max));
    let worker = attempt::worker_id(&caller, &request.worker);
    let until = async {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = api.closing.cancelled() => {}
        }
    };
    let claims = api.engine.lease(&worker, &wants, lease, until).await?;
    let now = api.engine.clock().now();
    let view = |claimed| LeaseView::new(claimed, now, &api.settings.path);
    Ok(reply::json(StatusCode::OK, &ClaimReply { leases: claims.jobs.iter().map(view).collect() }))
}

impl<'a> LeaseView<'a> {
    fn new(claimed: &'a raincheck_store::Claimed, now: Time, path: &'a str) -> Self {
        let job: &Job = &claimed.job;
        Self {
            job: JobView::without_place(job, now, path),
            fence: job.life.fence,
            input: &claimed.input,
            steps: &claimed.steps,
            timeout: Duration::from_millis(job.spec.timeout_ms).as_secs_f64(),
            lease_expires_at: job.life.lease.as_ref().map(|lease| lease.until),
        }
    }
}

/// How long a lease is to last.
pub(super) fn length(asked: Option<Seconds>, api: &Api) -> Result<Duration, ApiError> {
    let lease = asked.map_or(api.engine.settings().lease, |Seconds(lease)| lease);
    if LEASE.contains(&lease) {
        Ok(lease)
    } else {
        Err(invalid("/lease_seconds", "a lease lasts from 1 to 300 seconds"))
    }
}

fn wants(api: &Api, kinds: Vec<Object<Wanted>>) -> Result<Vec<Want>, ApiError> {
    if !(1..=KINDS_MAX).contains(&kinds.len()) {
        return Err(invalid("/kinds", "a worker names from 1 to 100 kinds"));
    }
    let want = |(number, Object(Wanted { kind, max: Whole(max) }))| {
        if !api.engine.registry().is_external(&kind) {
            let detail = format!("{kind} is no kind that is run by workers; the server's configuration names those");
            return Err(Problem::new(ProblemType::UNKNOWN_KIND, detail).at(format!("/kinds/{number}/kind")).into());
        }
        if !(1..=JOBS_MAX).contains(&max) {
            return Err(invalid(&format!("/kinds/{number}/max"), "max is from 1 to 256"));
        }
        Ok(Want { kind, max: max as usize, openings: Openings::default() })
    };
    kinds.into_iter().enumerate().map(want).collect()
}

pub(super) fn invalid(pointer: &str, detail: &str) -> ApiError {
    Problem::new(ProblemType::INVALID_REQUEST, detail).at(pointer).into()
}
