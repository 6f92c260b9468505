use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use raincheck_core::Time;
use raincheck_store::WebhookSecrets;
use schemars::JsonSchema;
use serde::Serialize;

use super::sign::secret_text;
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::body::NoBody;
use crate::problem::ApiError;
use crate::query::Query;
use crate::reply;

/// What a tenant's webhooks are signed with.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookSecret")]
pub(crate) struct SecretView {
    /// The secret, as libraries for Standard Webhooks take it.
    #[schemars(extend("pattern" = "^whsec_"))]
    secret: String,
    /// Until when the secret before this one signs as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    previous_until: Option<Time>,
}

impl SecretView {
    fn new(secrets: &WebhookSecrets, now: Time) -> Self {
        let previous_until = secrets.previous.map(|(_, until)| until).filter(|until| now < *until);
        Self { secret: secret_text(&secrets.current), previous_until }
    }
}

/// `GET /v1/webhooks/secret`: the secret of the caller's tenant.
pub(crate) async fn secret(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    query: Query,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    let secrets = api.engine.webhook_secrets(&caller.tenant).await?;
    Ok(reply::json(StatusCode::OK, &SecretView::new(&secrets, api.engine.clock().now())))
}

/// `POST /v1/webhooks/secret/rotate`: a new one. The one before signs for another day as well.
pub(crate) async fn rotate(
    State(api): State<Arc<Api>>,
    caller: Caller<Submit>,
    query: Query,
    _: NoBody,
) -> Result<Response, ApiError> {
    query.only(&[])?;
    let secrets = api.engine.rotate_webhook_secret(&caller.tenant).await?;
    Ok(reply::json(StatusCode::OK, &SecretView::new(&secrets, api.engine.clock().now())))
}
