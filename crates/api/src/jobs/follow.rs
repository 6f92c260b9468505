use std::time::Duration;

use raincheck_core::Event;
use raincheck_engine::LogReader;
use raincheck_store::StoreError;
use tokio_util::sync::CancellationToken;

use crate::api::Api;

/// When to look again into a log that could not be read because the store had too much to do.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// Follows a job's log for a stream. There may be tens of thousands, so it holds no buffer of its own.
pub(crate) struct Follower {
    reader: LogReader,
    closing: CancellationToken,
    heartbeat: Duration,
}

/// What there is to tell next.
pub(crate) enum Next {
    /// These happened.
    Events(Vec<Event>),
    /// Nothing for so long that a sign of life is due.
    Silence,
    /// Nothing will follow: the job has ended, the log cannot be read, or the server is about to stop.
    End,
}

impl Follower {
    pub(crate) fn new(api: &Api, reader: LogReader) -> Self {
        Self { reader, closing: api.closing.clone(), heartbeat: api.settings.sse_heartbeat }
    }

    pub(crate) async fn next(&mut self) -> Next {
        tokio::select! {
            biased;
            () = self.closing.cancelled() => Next::End,
            events = next_events(&mut self.reader) => events.map_or(Next::End, Next::Events),
            () = tokio::time::sleep(self.heartbeat) => Next::Silence,
        }
    }
}

/// The next events; `None` if there are no more, or the log cannot be read. A store that has too much to do just now is
/// asked again: that ends no stream.
async fn next_events(reader: &mut LogReader) -> Option<Vec<Event>> {
    loop {
        match reader.next().await {
            Ok(events) if events.is_empty() => return None,
            Ok(events) => return Some(events),
            Err(StoreError::Overloaded(_)) => tokio::time::sleep(READ_AGAIN_AFTER).await,
            Err(_) => return None,
        }
    }
}
