use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_core::{ConversationId, Json, Problem, ProblemType, Role};
use raincheck_engine::{SubmitError, TurnWish, check_content, check_metadata};
use raincheck_store::{ConversationRefusal, NewMessage, StoreError};
use schemars::JsonSchema;
use serde::Deserialize;

use super::view::RoleSchema;
use super::{ConversationPath, MessageView};
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::body::JsonBody;
use crate::dialect::OurKey;
use crate::jobs::{IdempotencyKey, JobRequest, Wait, answered, marked};
use crate::json::{self, Object};
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// A message to add.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageRequest {
    /// Who says it; the user if left out.
    #[schemars(with = "Option<RoleSchema>")]
    role: Option<Role>,
    /// What it says, any JSON but null, up to 1 MiB. Numbers keep their digits.
    #[schemars(with = "serde_json::Value")]
    content: Json,
    /// What you want to keep with it, any JSON up to 16 KiB.
    #[schemars(with = "Option<serde_json::Value>")]
    metadata: Option<Json>,
    /// The job that is to answer it. It has no `concurrency_key` of its own: the turns of a conversation come one after the
    /// other.
    job: Option<Object<JobRequest>>,
}

/// `POST /v1/conversations/{id}/messages`: adds a message; with a job that answers it, if one is asked for.
pub(crate) async fn say(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    ConversationPath(id): ConversationPath,
    OurKey(key): OurKey<IdempotencyKey>,
    wait: Wait,
    query: Query,
    body: JsonBody,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    let mut request: MessageRequest = body.parse()?;
    request.check()?;
    match request.job.take() {
        None if key.is_given() => {
            let detail = "Idempotency-Key goes with a job; a message alone is added each time it is sent";
            Err(ApiError::new(ProblemType::INVALID_REQUEST, detail))
        }
        None => append(&api, &caller, id, request).await,
        Some(Object(job)) => {
            let idempotency = key.said(&caller.tenant, id, body.bytes());
            drop(body);
            let now = api.engine.clock().now();
            let within = |problem: Problem| ApiError::from(problem).within("/job");
            let mut submission = job.submission(&api, caller.tenant.clone(), idempotency, now).map_err(within)?;
            let (content, metadata) = (request.content, request.metadata);
            submission.turn = Some(TurnWish { conversation: Some(id), content, metadata });
            let submitted = api.engine.submit(vec![submission]).await;
            let submitted = submitted.map_err(|(_, error)| ApiError::from(error).within("/job"))?;
            // One entry in, one out.
            let submitted = submitted.into_iter().next().unwrap_or(Err(SubmitError::Store(StoreError::Stopped)))?;
            Ok(marked(answered(&api, &caller, submitted.job(), wait).await?, &submitted))
        }
    }
}

impl MessageRequest {
    fn check(&self) -> Result<(), Problem> {
        let invalid = |pointer: &str, detail: &str| Err(Problem::new(ProblemType::INVALID_REQUEST, detail).at(pointer));
        json::check(&self.content, "/content")?;
        check_content(&self.content)?;
        if let Some(metadata) = &self.metadata {
            json::check(metadata, "/metadata")?;
            check_metadata(metadata)?;
        }
        if self.content == Json::null() {
            return invalid("/content", "a message says something: give its content");
        }
        if self.job.is_some() && self.role.is_some_and(|role| role != Role::User) {
            return invalid("/role", "a job answers what the user says; leave out the role, or the job");
        }
        Ok(())
    }
}

async fn append(
    api: &Api,
    caller: &Caller<Submit>,
    conversation: ConversationId,
    request: MessageRequest,
) -> Result<Response, ApiError> {
    let MessageRequest { role, content, metadata, .. } = request;
    let (tenant, role, random) = (caller.sees().cloned(), role.unwrap_or(Role::User), api.engine.random());
    let new = NewMessage { conversation, tenant, role, content, metadata, random };
    let now = api.engine.clock().now();
    let message = api.engine.store().append_message(new, now).await?.map_err(ConversationRefusal::problem)?;
    Ok(reply::json(StatusCode::CREATED, &MessageView::new(&message)))
}
