use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use raincheck_core::{Job, Tenant};
use raincheck_engine::Submitted;
use raincheck_store::{Filter, StoreError};
use sha2::{Digest, Sha256};

use super::{Wish, submit};
use crate::api::Api;
use crate::jobs::IdempotencyKey;
use crate::problem::ApiError;

/// By which the SDKs of OpenAI and Anthropic say how often they have sent this request before.
const RETRY_COUNT: HeaderName = HeaderName::from_static("x-stainless-retry-count");
/// The label by which a job is found again that was made by a request of these bytes.
const REQUEST: &str = "request";
/// How long after a job was accepted a repeated request still means it: as long as SDKs wait for an answer by default.
const WINDOW: Duration = Duration::from_secs(10 * 60);
/// Jobs on a page that is looked at for the one that is meant, and pages.
const PAGE: usize = 100;
const PAGES_MAX: usize = 10;

/// A request as an SDK may send it again.
pub(crate) struct Request {
    /// A name for all that the holder of this key sends with these bytes.
    pub(super) name: String,
    /// A name for where it goes and what it says, whoever sends it.
    content: String,
    /// Whether it comes from an SDK that says whether it has sent it before.
    pub(super) is_counted: bool,
    /// Whether it was sent before, by the SDK itself, which got no answer.
    pub(super) is_repeated: bool,
    /// What it has to be the same as if its key comes once more; `None` if it has no key of the caller's own.
    pub(super) fingerprint: Option<u128>,
    /// A name for the call that the upstream may know it by, whoever made it.
    pub(super) key: Option<String>,
}

impl Request {
    /// The request that the holder of a key sends to a path.
    pub(crate) fn new(key_id: &str, path: &str, body: &[u8], headers: &HeaderMap) -> Self {
        let content = name_of(&[path.as_bytes(), body]);
        let name = name_of(&[key_id.as_bytes(), content.as_bytes()]);
        let count = headers.get(RETRY_COUNT).and_then(|value| value.to_str().ok()?.trim().parse::<u32>().ok());
        let is_repeated = count.is_some_and(|count| count > 0);
        Self { name, content, is_counted: count.is_some(), is_repeated, fingerprint: None, key: None }
    }

    /// The same with the key that the caller gave it, if it gave one, which then decides what is the same.
    pub(crate) fn under(self, key: &IdempotencyKey, tenant: &Tenant) -> Self {
        // As with jobs, it is the tenant's, by whichever of its API keys it comes.
        let Some(idempotency) = key.single(tenant, self.content.as_bytes()) else { return self };
        let name = format!("key {:032x}", idempotency.key);
        // Tenants may share an account there, and know nothing of each other's keys.
        let key = Some(format!("rc-{:032x}", idempotency.key));
        Self { name, fingerprint: Some(idempotency.fingerprint), key, ..self }
    }
}

/// A name for these parts: 128 bits of their hash.
fn name_of(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Accepts a job, unless an SDK asks once more for one that was made by the same request: then it is given that. A key of the
/// caller's own always decides.
pub(crate) async fn submit_once(
    api: &Api,
    tenant: &Tenant,
    mut wish: Wish,
    key: &IdempotencyKey,
    request: Request,
) -> Result<Submitted, ApiError> {
    if request.is_repeated
        && !key.is_given()
        && let Some(job) = made(api, tenant, wish.kind, &request.name).await?
    {
        return Ok(Submitted::Existing(job));
    }
    wish.labels.push((REQUEST, request.name));
    submit(api, tenant, wish, key).await
}

/// The newest job that such a request made, if that is not too long ago. Found in the store, so that a repeated request
/// finds it after a restart and at another server too.
async fn made(api: &Api, tenant: &Tenant, kind: &str, name: &str) -> Result<Option<Job>, StoreError> {
    let now = api.engine.clock().now();
    let mut filter = Filter {
        tenant: Some(tenant.clone()),
        kind: kind.parse().ok(),
        labels: vec![(REQUEST.to_owned(), name.to_owned())],
        ..Filter::default()
    };
    for _ in 0..PAGES_MAX {
        let page = api.engine.store().list(filter.clone(), PAGE, now).await?;
        if let Some(job) = page.jobs.first() {
            let is_recent = now.since(job.spec.created_at) <= WINDOW;
            return if is_recent { api.engine.get(job.id, Some(tenant)).await } else { Ok(None) };
        }
        filter.before = page.next;
        if filter.before.is_none_or(|key| now.since(key.minted_at()) > WINDOW) {
            break;
        }
    }
    Ok(None)
}
