use std::sync::Arc;

use axum::body::Bytes;
use axum::response::Response;
use futures_util::stream;
use raincheck_core::{Event, JobId, Tenant};

use super::status::{self, Place, is_news};
use crate::api::Api;
use crate::dialect::{Follower, Line, Next, sse};
use crate::problem::ApiError;

/// Shows that the stream is alive.
const HEARTBEAT: &[u8] = b": \n\n";

/// `GET …/status/stream`: the status now and whenever it changes, until the request has ended. Every piece has only the log
/// lines that those before it had not.
pub(super) async fn stream(
    api: Arc<Api>,
    job: raincheck_core::Job,
    tenant: Option<Tenant>,
    place: Place,
    logs: bool,
) -> Result<Response, ApiError> {
    let reader = api.engine.follow(job.id, tenant.as_ref(), 0).await?.ok_or_else(ApiError::no_such_job)?;
    let follower = Follower::new(&api, reader);
    let telling = Telling { api, job: job.id, tenant, place, logs, follower, is_over: false };
    Ok(sse(stream::unfold(telling, async |mut telling| {
        let chunk = telling.next().await?;
        Some((chunk, telling))
    })))
}

struct Telling {
    api: Arc<Api>,
    job: JobId,
    tenant: Option<Tenant>,
    place: Place,
    logs: bool,
    follower: Follower,
    is_over: bool,
}

impl Telling {
    async fn next(&mut self) -> Option<Bytes> {
        while !self.is_over {
            match self.follower.next().await {
                Next::Events(events) if !events.iter().any(|event| is_news(event, self.logs)) => {}
                Next::Events(events) => return self.status(&events).await,
                Next::Silence => return Some(Bytes::from_static(HEARTBEAT)),
                Next::End => return None,
            }
        }
        None
    }

    async fn status(&mut self, events: &[Event]) -> Option<Bytes> {
        let job = self.api.engine.get(self.job, self.tenant.as_ref()).await.ok()??;
        // The end is told once the log has been read to it, so that no line is left out.
        let has_ended = events.iter().any(|event| event.body.event_type().is_final());
        if job.life.state.is_final() && !has_ended {
            return Some(Bytes::from_static(HEARTBEAT));
        }
        self.is_over = has_ended;
        let lines: Vec<Line> = events.iter().filter_map(Line::of).collect();
        let view = status::view(&self.api, &job, &self.place, self.logs.then_some(&lines));
        Some(format!("data: {view}\n\n").into())
    }
}
