use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use raincheck_core::{Job, Tenant};
use raincheck_store::{Filter, StoreError};
use sha2::{Digest, Sha256};

use crate::api::Api;

/// By which OpenAI's SDKs say how often they have sent this request before.
const RETRY_COUNT: HeaderName = HeaderName::from_static("x-stainless-retry-count");
/// The label by which a job is found again that was made by a request of these bytes.
pub(super) const REQUEST: &str = "request";
/// How long after a job was accepted a repeated request still means it: as long as SDKs wait for an answer by default.
const WINDOW: Duration = Duration::from_secs(10 * 60);
/// Jobs on a page that is looked at for the one that is meant, and pages.
const PAGE: usize = 100;
const PAGES_MAX: usize = 10;

/// Whether an SDK sent this request before, by itself, and got no answer.
pub(super) fn is_repeated(headers: &HeaderMap) -> bool {
    let count = headers.get(RETRY_COUNT).and_then(|value| value.to_str().ok()?.trim().parse::<u32>().ok());
    count.is_some_and(|count| count > 0)
}

/// A name for the requests that the holder of this key sends with these bytes: 128 bits of a SHA-256.
pub(super) fn name(key_id: &str, path: &str, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in [key_id.as_bytes(), path.as_bytes(), body] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The newest job that such a request made, if that is not too long ago. Found in the store, so that a repeated request
/// finds it after a restart and at another server too.
pub(super) async fn made(api: &Api, tenant: &Tenant, kind: &str, name: &str) -> Result<Option<Job>, StoreError> {
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
