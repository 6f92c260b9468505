use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_core::{Json, Kind};
use raincheck_engine::About;
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::Api;
use crate::auth::{Caller, Read};
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// What can be done here.
#[derive(Serialize, JsonSchema)]
pub(crate) struct KindsReply<'a> {
    /// In order of name.
    kinds: Vec<KindView<'a>>,
}

/// A kind of job.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Kind")]
struct KindView<'a> {
    /// Its name.
    #[schemars(with = "String")]
    kind: &'a Kind,
    /// What it does, in a sentence.
    summary: &'a str,
    /// JSON Schema of the input.
    #[schemars(with = "serde_json::Value")]
    input_schema: &'a Json,
    /// How often a job may fail before it has failed, unless it asks otherwise.
    max_attempts: u32,
    /// The longest that one attempt may take unless it asks otherwise, in seconds.
    timeout: f64,
    /// How many attempts run at once.
    concurrency: usize,
}

impl<'a> From<&'a About> for KindView<'a> {
    fn from(about: &'a About) -> Self {
        Self {
            kind: &about.kind,
            summary: about.summary,
            input_schema: &about.input_schema,
            max_attempts: about.max_attempts,
            timeout: about.timeout.as_secs_f64(),
            concurrency: about.concurrency,
        }
    }
}

/// `GET /v1/kinds`: what can be done here.
pub(crate) async fn kinds(State(api): State<Arc<Api>>, _: Caller<Read>, query: Query) -> Result<Response, ApiError> {
    query.only(&[])?;
    let kinds = api.engine.registry().kinds().map(KindView::from).collect();
    Ok(reply::json(StatusCode::OK, &KindsReply { kinds }))
}
