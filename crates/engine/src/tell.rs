use std::sync::Arc;
use std::time::Duration;

use raincheck_core::{Event, EventBody, Job, JobId, Webhook, WebhookEvent};
use raincheck_store::StoreError;
use tokio::time::Instant;

use crate::engine::Parts;
use crate::{LogReader, Notifier};

/// The least time between two tellings of progress or output.
const INTERVAL: Duration = Duration::from_millis(500);

/// How many webhooks are told of running jobs at once.
pub(crate) const TELLINGS_MAX: usize = 64;

impl Parts {
    /// Has the webhook of a job whose attempt was just started told how it goes on, if it wants to hear of that.
    pub(crate) fn tell(self: &Arc<Self>, job: &Job) {
        let wants = |webhook: &Webhook| webhook.events.iter().any(|event| *event != WebhookEvent::Ended);
        if let (Some(notifier), true) = (self.notifier.get(), job.spec.webhook.as_ref().is_some_and(wants)) {
            self.tasks.spawn_loop(run(Arc::clone(self), Arc::clone(notifier), job.clone()));
        }
    }
}

/// Tells the webhook of a job whose attempt has just started what it wants to hear before the end: each once, at most, and none
/// of it promised. What comes while the endpoint is being told, or too soon after, is told together.
async fn run(parts: Arc<Parts>, notifier: Arc<dyn Notifier>, job: Job) {
    if let Err(error) = follow(&parts, &*notifier, &job).await
        && error != StoreError::Stopped
    {
        tracing::warn!(job = %job.id, %error, "failed to tell a webhook of a job's progress");
    }
}

async fn follow(parts: &Arc<Parts>, notifier: &dyn Notifier, job: &Job) -> Result<(), StoreError> {
    let Some(webhook) = &job.spec.webhook else { return Ok(()) };
    // From its start on, which is the last that happened to it.
    let after = job.life.last_seq.saturating_sub(1);
    let (store, hub) = (Arc::clone(&parts.store), Arc::clone(&parts.hub));
    let Some(mut reader) = LogReader::open(store, hub, job.id, None, after).await? else { return Ok(()) };
    loop {
        let events = reader.next().await?;
        if events.is_empty() || events.iter().any(|event| is_over(event, job)) {
            return Ok(());
        }
        let mut told = events.iter().rev().filter_map(|event| Some((of(event)?, event.seq)));
        if let Some(latest) = told.find(|(event, _)| webhook.events.contains(event)) {
            let began = Instant::now();
            tell(parts, notifier, job.id, latest).await?;
            tokio::time::sleep_until(began + INTERVAL).await;
        }
    }
}

/// Tells a webhook how its job stands, unless too many are being told just now, or the job has ended.
async fn tell(
    parts: &Parts,
    notifier: &dyn Notifier,
    job: JobId,
    event: (WebhookEvent, u64),
) -> Result<(), StoreError> {
    let Ok(_place) = parts.tellings.try_acquire() else { return Ok(()) };
    let Some(now) = parts.store.get(job, None).await?.filter(|job| !job.life.state.is_final()) else { return Ok(()) };
    let secrets = parts.webhook_secrets(&now.spec.tenant).await?;
    if let Err(undelivered) = notifier.deliver(&now, event, &secrets).await {
        tracing::debug!(%job, answer = undelivered.answer, "a webhook did not take what is told once");
    }
    Ok(())
}

/// What of a job an event is.
fn of(event: &Event) -> Option<WebhookEvent> {
    match event.body {
        EventBody::Started(_) => Some(WebhookEvent::Started),
        EventBody::Output(_) => Some(WebhookEvent::Output),
        EventBody::Progress(_) => Some(WebhookEvent::Progress),
        _ => None,
    }
}

/// Whether the attempt is over, or another has begun, which is told by its own.
fn is_over(event: &Event, job: &Job) -> bool {
    event.attempt > job.life.attempt || event.body.event_type().is_final()
}
