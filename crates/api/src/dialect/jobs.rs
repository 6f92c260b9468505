use std::collections::VecDeque;

use raincheck_core::{Job, JobKey, Tenant};
use raincheck_store::{Filter, StoreError};

use super::job_of;
use crate::api::Api;
use crate::path::is_kind;

/// Jobs that are looked at at once.
const LOOKED_AT: usize = 200;

/// The job that an id of a dialect names, if it is of this kind and the tenant may see it.
pub(crate) async fn find(
    api: &Api,
    prefix: &str,
    id: &str,
    kind: &str,
    tenant: Option<&Tenant>,
) -> Result<Option<Job>, StoreError> {
    let Some(id) = job_of(prefix, id) else { return Ok(None) };
    Ok(api.engine.get(id, tenant).await?.filter(|job| is_kind(job, kind)))
}

/// As many jobs as are wanted, if there are so many, the newest first; and whether there are more.
pub(crate) async fn page(api: &Api, mut filter: Filter, limit: usize) -> Result<(Vec<Job>, bool), StoreError> {
    let (mut jobs, now) = (Vec::new(), api.engine.clock().now());
    // A page of the store may be short, and still have a next one.
    loop {
        let page = api.engine.store().list(filter.clone(), limit + 1 - jobs.len(), now).await?;
        jobs.extend(page.jobs);
        filter.before = page.next;
        if filter.before.is_none() || jobs.len() > limit {
            break;
        }
    }
    let has_more = jobs.len() > limit;
    jobs.truncate(limit);
    Ok((jobs, has_more))
}

/// As many jobs as are wanted of those right before (newer than) `key`, the newest first; and whether there are newer ones.
/// Looked for from the newest on, because that is how a store lists them.
pub(crate) async fn page_before(
    api: &Api,
    mut filter: Filter,
    key: JobKey,
    limit: usize,
) -> Result<(Vec<Job>, bool), StoreError> {
    let (mut jobs, mut has_more, now) = (VecDeque::new(), false, api.engine.clock().now());
    loop {
        let page = api.engine.store().list(filter.clone(), LOOKED_AT, now).await?;
        for job in page.jobs.into_iter().take_while(|job| job.id.key() > key) {
            jobs.push_back(job);
            if jobs.len() > limit {
                jobs.pop_front();
                has_more = true;
            }
        }
        filter.before = page.next.filter(|next| *next > key);
        if filter.before.is_none() {
            return Ok((jobs.into(), has_more));
        }
    }
}
