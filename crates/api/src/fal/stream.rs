use std::ops::ControlFlow;
use std::sync::Arc;

use axum::body::Bytes;
use axum::response::Response;
use raincheck_core::{Event, JobId, Tenant};

use super::no_such_request;
use super::status::{self, Place, is_news};
use crate::api::Api;
use crate::dialect::{self, Line, Teller};
use crate::problem::ApiError;

/// `GET …/status/stream`: the status now and whenever it changes, until the request has ended. Every piece has only the log
/// lines that those before it had not.
pub(super) async fn stream(
    api: Arc<Api>,
    job: raincheck_core::Job,
    tenant: Option<Tenant>,
    place: Place,
    logs: bool,
) -> Result<Response, ApiError> {
    let reader = api.engine.follow(job.id, tenant.as_ref(), 0).await?.ok_or_else(no_such_request)?;
    let telling = Telling { api: Arc::clone(&api), job: job.id, tenant, place, logs };
    Ok(dialect::stream(&api, reader, telling))
}

struct Telling {
    api: Arc<Api>,
    job: JobId,
    tenant: Option<Tenant>,
    place: Place,
    logs: bool,
}

impl Teller for Telling {
    const SIGN_OF_LIFE: &'static [u8] = b": \n\n";

    async fn tell(&mut self, events: &[Event]) -> ControlFlow<Bytes, Bytes> {
        if !events.iter().any(|event| is_news(event, self.logs)) {
            return ControlFlow::Continue(Bytes::new());
        }
        let Ok(Some(job)) = self.api.engine.get(self.job, self.tenant.as_ref()).await else {
            return ControlFlow::Break(Bytes::new());
        };
        // The end is told once the log has been read to it, so that no line is left out.
        let has_ended = events.iter().any(|event| event.body.event_type().is_final());
        if job.life.state.is_final() && !has_ended {
            return ControlFlow::Continue(Bytes::from_static(Self::SIGN_OF_LIFE));
        }
        let lines: Vec<Line> = events.iter().filter_map(Line::of).collect();
        let view = status::view(&self.api, &job, &self.place, self.logs.then_some(&lines));
        let told = format!("data: {view}\n\n").into();
        if has_ended { ControlFlow::Break(told) } else { ControlFlow::Continue(told) }
    }
}
