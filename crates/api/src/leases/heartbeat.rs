use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_core::{Fence, JobId};
use raincheck_store::{Beat, Beaten};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{attempt, claim};
use crate::api::Api;
use crate::auth::{Caller, Worker};
use crate::body::JsonBody;
use crate::json::Object;
use crate::number::Seconds;
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// Leases in one request.
const LEASES_MAX: usize = 1_000;

/// A worker that is alive.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeartbeatRequest {
    /// The leases it holds.
    #[schemars(length(max = 1000))]
    leases: Vec<Object<Held>>,
    /// How long they last from now without another heartbeat, in seconds: 1 to 300; 15 if left out.
    #[schemars(with = "Option<f64>", range(min = 1, max = 300))]
    lease_seconds: Option<Seconds>,
}

/// A lease that a worker holds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Held {
    /// The job.
    #[schemars(with = "String")]
    job: JobId,
    /// The attempt's token.
    #[schemars(with = "u64")]
    fence: Fence,
}

/// What a worker should know of its leases.
#[derive(Serialize, JsonSchema)]
pub(crate) struct HeartbeatReply {
    /// In the order of the request.
    leases: Vec<Heard>,
}

/// What a worker should know of a lease.
#[derive(Serialize, JsonSchema)]
struct Heard {
    /// The job.
    #[schemars(with = "String")]
    job: JobId,
    /// Whether it is still this worker's. If not, nothing it writes to it counts.
    held: bool,
    /// Whether it should stop, and finish with an error or `released`.
    cancel_requested: bool,
}

/// `POST /v1/leases/heartbeat`: renews leases.
pub(crate) async fn heartbeat(
    State(api): State<Arc<Api>>,
    caller: Caller<Worker>,
    query: Query,
    body: JsonBody,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    let request: HeartbeatRequest = body.parse()?;
    drop(body);
    if request.leases.len() > LEASES_MAX {
        return Err(claim::invalid("/leases", "up to 1000 leases are renewed in one request"));
    }
    let lease = claim::length(request.lease_seconds, &api)?;
    let mut heard = Vec::with_capacity(request.leases.len());
    let (mut beats, mut places) = (Vec::new(), Vec::new());
    let now = api.engine.clock().now();
    for (place, Object(Held { job, fence })) in request.leases.into_iter().enumerate() {
        heard.push(Heard { job, held: false, cancel_requested: false });
        // A store that is busy fails the whole request: `held: false` would make a live worker drop what it does.
        if attempt::held(&api, &caller, job).await?.is_some() {
            beats.push(Beat { job, fence, until: now.after(lease) });
            places.push(place);
        }
    }
    let answers = api.engine.store().heartbeat(beats, now).await?;
    for (place, answer) in places.into_iter().zip(answers) {
        if let Ok(Beaten { cancel_requested }) = answer {
            heard[place] = Heard { held: true, cancel_requested, ..heard[place] };
        }
    }
    Ok(reply::json(StatusCode::OK, &HeartbeatReply { leases: heard }))
}
