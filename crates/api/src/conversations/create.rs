use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use raincheck_core::Json;
use raincheck_engine::check_metadata;
use raincheck_store::{ConversationRefusal, NewConversation};
use schemars::JsonSchema;
use serde::Deserialize;

use super::ConversationView;
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::body::OptionalJsonBody;
use crate::json;
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// A conversation to begin.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConversationRequest {
    /// What you want to keep with it, any JSON up to 16 KiB.
    #[schemars(with = "Option<serde_json::Value>")]
    metadata: Option<Json>,
}

/// `POST /v1/conversations`: begins a conversation.
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    query: Query,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    let ConversationRequest { metadata } = body.map(|body| body.parse()).transpose()?.unwrap_or_default();
    if let Some(metadata) = &metadata {
        json::check(metadata, "/metadata")?;
        check_metadata(metadata)?;
    }
    let new = NewConversation { tenant: caller.tenant.clone(), metadata, random: api.engine.random() };
    let now = api.engine.clock().now();
    let created = api.engine.store().create_conversation(new, now).await?.map_err(ConversationRefusal::problem)?;
    let mut response = reply::json(StatusCode::CREATED, &ConversationView::new(&created));
    if let Ok(place) = HeaderValue::try_from(format!("/v1/conversations/{}", created.id)) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}
