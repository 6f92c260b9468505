use std::sync::Arc;

use raincheck_core::{Event, JobId, Tenant};
use raincheck_store::{LogPage, Store, StoreError};
use tokio::sync::watch;

use crate::Hub;
use crate::hub::{AtHand, Followed};

/// How many events are read from the store at once.
const PAGE: usize = 100;

/// Reads a job's log from a place in it to its end, waiting for what is yet to happen. Every event comes once and in order,
/// whether it was stored long ago or happens now; after a disconnect a new reader goes on from the last number seen.
pub struct LogReader {
    store: Arc<dyn Store>,
    hub: Arc<Hub>,
    job: JobId,
    /// The number of the last event given.
    cursor: u64,
    /// `None` once it was let go, when the reader is dropped.
    followed: Option<Arc<Followed>>,
    news: watch::Receiver<u64>,
    ended: bool,
}

impl LogReader {
    /// A reader of what comes after number `after`; `None` if there is no such job for the tenant.
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        hub: Arc<Hub>,
        job: JobId,
        tenant: Option<&Tenant>,
        after: u64,
    ) -> Result<Option<Self>, StoreError> {
        // Follow first and look then, so that nothing happens unseen in between.
        let followed = hub.follow(job);
        let news = followed.subscribe();
        let reader = Self { store, hub, job, cursor: after, followed: Some(followed), news, ended: false };
        Ok(reader.store.get(job, tenant).await?.map(|_| reader))
    }

    /// The next events, at least one; an empty list after the job's last.
    ///
    /// # Errors
    /// If the log cannot be read, or the engine has stopped. The reader stands where it stood and may be asked again.
    pub async fn next(&mut self) -> Result<Vec<Event>, StoreError> {
        while !self.ended {
            self.news.mark_unchanged();
            let at_hand = self.followed.as_ref().map_or(AtHand::Unknown, |followed| followed.after(self.cursor));
            let (events, over) = match at_hand {
                AtHand::Events(events) => (events, false),
                // One event may be told to tens of thousands: none of them should ask the log whether that was all.
                AtHand::Nothing { over } => (Vec::new(), over),
                AtHand::Unknown => self.read().await?,
            };
            self.ended = over || events.last().is_some_and(|event| event.body.event_type().is_final());
            if let Some(last) = events.last() {
                self.cursor = last.seq;
                return Ok(events);
            }
            if !self.ended && (self.hub.has_ended() || self.news.changed().await.is_err()) {
                return Err(StoreError::Stopped);
            }
        }
        Ok(Vec::new())
    }

    /// Reads on in the store; also whether nothing will follow.
    async fn read(&self) -> Result<(Vec<Event>, bool), StoreError> {
        let page = self.store.read_log(self.job, None, self.cursor, PAGE).await?;
        // A job that is gone was deleted while it was being read.
        let LogPage { events, last_seq, ended } = page.unwrap_or(LogPage { ended: true, ..LogPage::default() });
        let over = ended && events.last().map_or(self.cursor, |event| event.seq) >= last_seq;
        Ok((events, over))
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        self.followed = None;
        self.hub.unfollow(self.job);
    }
}
