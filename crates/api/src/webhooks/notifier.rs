use std::borrow::Cow;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use raincheck_core::{Job, Json, Outcome, Time, WebhookEvent, WebhookForm};
use raincheck_engine::{Notifier, Undelivered};
use raincheck_store::{StoreError, WebhookSecrets};
use raincheck_upstream::{Answered, Messenger};
use serde::Serialize;

use super::sign;
use crate::api::Api;
use crate::dialect;
use crate::jobs::JobView;
use crate::{fal, replicate};

/// A result of more bytes is left out of what Raincheck's own webhooks are told; it is read where `links.result` says.
const RESULT_MAX: usize = 256 << 10;
/// A result of more bytes is left out of what other dialects' webhooks are told.
const DIALECT_RESULT_MAX: usize = 4 << 20;
/// Who calls.
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("raincheck/", env!("CARGO_PKG_VERSION")));

/// Puts what is told of a job into the words of the dialect, signs it and posts it.
pub(super) struct Post {
    /// Weak, because the engine has the notifier and the server has the engine.
    api: Weak<Api>,
    messenger: Messenger,
}

/// What Raincheck's own webhooks are told.
#[derive(Serialize)]
struct Notes<'a> {
    #[serde(rename = "type")]
    what: String,
    timestamp: Time,
    data: JobView<'a>,
}

/// What is sent: the body, and headers of the dialect's own.
struct Letter {
    body: Bytes,
    headers: HeaderMap,
}

impl Post {
    pub(super) fn new(api: &Arc<Api>, messenger: Messenger) -> Self {
        Self { api: Arc::downgrade(api), messenger }
    }
}

#[async_trait]
impl Notifier for Post {
    async fn deliver(
        &self,
        job: &Job,
        (event, seq): (WebhookEvent, u64),
        secrets: &WebhookSecrets,
    ) -> Result<String, Undelivered> {
        let failed = |answer: String| Undelivered { answer, retry_after: None, is_final: false };
        let (Some(api), Some(webhook)) = (self.api.upgrade(), &job.spec.webhook) else {
            return Err(failed("the server is stopping".to_owned()));
        };
        let now = api.engine.clock().now();
        let letter = match webhook.form {
            WebhookForm::Native => Ok(native(job, event, now, &api.settings.path)),
            WebhookForm::Fal => Ok(of_fal(&within(job, DIALECT_RESULT_MAX), secrets, now)),
            WebhookForm::Replicate => of_replicate(&api, &within(job, DIALECT_RESULT_MAX), &webhook.base).await,
        };
        let Letter { body, mut headers } = letter.map_err(|error| failed(error.to_string()))?;
        // The same for every try of the same event of a job, so that a receiver can tell what it has had before.
        let id = format!("evt_{}_{}", dialect::hex(job.id), seq);
        headers.extend(sign::standard(&id, &body, secrets, now));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::USER_AGENT, USER_AGENT);
        told(self.messenger.post(&webhook.url, headers, body).await)
    }
}

/// What an endpoint's answer means. One that says that it is gone wants no more.
fn told(answer: Result<Answered, String>) -> Result<String, Undelivered> {
    match answer {
        Ok(Answered { status, .. }) if status.is_success() => Ok(status.to_string()),
        Ok(Answered { status, retry_after }) => {
            Err(Undelivered { answer: status.to_string(), retry_after, is_final: status == StatusCode::GONE })
        }
        Err(answer) => Err(Undelivered { answer, retry_after: None, is_final: false }),
    }
}

/// The job without its result, if that has more bytes than this.
fn within(job: &Job, max: usize) -> Cow<'_, Job> {
    match &job.outcome {
        Some(Outcome::Completed(result)) if result.as_str().len() > max => {
            Cow::Owned(Job { outcome: None, ..job.clone() })
        }
        _ => Cow::Borrowed(job),
    }
}

fn native(job: &Job, event: WebhookEvent, now: Time, path: &str) -> Letter {
    let job = within(job, RESULT_MAX);
    // Which time it is must not change what is said, for every try says the same.
    let at = job.life.finished_at.unwrap_or(now);
    let what = match event {
        WebhookEvent::Ended => format!("job.{}", job.life.state),
        WebhookEvent::Started => "job.started".to_owned(),
        WebhookEvent::Output => "job.output".to_owned(),
        WebhookEvent::Progress => "job.progress".to_owned(),
    };
    let notes = Notes { what, timestamp: at, data: JobView::without_place(&job, at, path) };
    Letter { body: Json::from_value(&notes).unwrap_or_default().as_str().to_owned().into(), headers: HeaderMap::new() }
}

fn of_fal(job: &Job, secrets: &WebhookSecrets, now: Time) -> Letter {
    let body = fal::told(job).to_string();
    let headers = sign::fal(&dialect::uuid(job.id), job.spec.tenant.as_str(), body.as_bytes(), secrets, now);
    Letter { body: body.into(), headers }
}

async fn of_replicate(api: &Api, job: &Job, base: &str) -> Result<Letter, StoreError> {
    let prediction = replicate::told(api, job, base).await?;
    Ok(Letter { body: prediction.to_string().into(), headers: HeaderMap::new() })
}
