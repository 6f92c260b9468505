use raincheck_core::{Event, EventBody, JobId, Tenant, Time};
use raincheck_store::StoreError;

use crate::api::Api;

/// How far back a log is looked at for lines, in events.
const EVENTS_MAX: u64 = 1_000;
/// Events read at once.
const PAGE: usize = 500;

/// What a job said it is doing.
pub(crate) struct Line {
    /// When.
    pub(crate) at: Time,
    /// In words.
    pub(crate) message: String,
}

impl Line {
    /// The line that an event is, if it is one.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        match &event.body {
            EventBody::Progress(progress) if !progress.message.is_empty() => {
                Some(Self { at: event.at, message: progress.message.clone() })
            }
            _ => None,
        }
    }
}

/// The latest lines of a job's log, the oldest first.
pub(crate) async fn lines(
    api: &Api,
    job: JobId,
    tenant: Option<&Tenant>,
    last_seq: u64,
) -> Result<Vec<Line>, StoreError> {
    let (mut lines, mut seen) = (Vec::new(), last_seq.saturating_sub(EVENTS_MAX));
    while seen < last_seq {
        let page = api.engine.store().read_log(job, tenant, seen, PAGE).await?;
        let events = page.map(|page| page.events).unwrap_or_default();
        let Some(last) = events.last() else { break };
        seen = last.seq;
        lines.extend(events.iter().filter_map(Line::of));
    }
    Ok(lines)
}
