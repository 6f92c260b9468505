use std::io::Write;
use std::ops::ControlFlow;

use axum::body::Bytes;
use axum::response::Response;
use raincheck_core::{Event, Job};

use super::face::Face;
use super::no_such_response;
use super::tale::{Line, Tale};
use crate::api::Api;
use crate::dialect::{self, Teller};
use crate::problem::ApiError;

/// A Response as server-sent events, from after number `after` (from the first if there is none) to its end.
pub(super) async fn stream(api: &Api, job: &Job, face: Face, after: Option<u64>) -> Result<Response, ApiError> {
    let reader = api.engine.follow(job.id, None, 0).await?.ok_or_else(|| no_such_response(""))?;
    Ok(dialect::stream(api, reader, Telling { tale: Tale::new(face), after }))
}

struct Telling {
    tale: Tale,
    after: Option<u64>,
}

impl Teller for Telling {
    /// A comment without a blank line behind it, which is no event to any client. One SDK takes `id:` and `retry:` lines for
    /// events without data, so that there are none on these streams.
    const SIGN_OF_LIFE: &'static [u8] = b":\n";

    async fn tell(&mut self, events: &[Event]) -> ControlFlow<Bytes, Bytes> {
        let mut chunk = Vec::with_capacity(events.len() * 256);
        for line in events.iter().flat_map(|event| self.tale.tell(event)) {
            if self.after.is_none_or(|after| line.number > after) {
                encode(&line, &mut chunk);
            }
        }
        ControlFlow::Continue(chunk.into())
    }
}

fn encode(line: &Line, chunk: &mut Vec<u8>) {
    // Memory does not fail to be written to.
    let _ = write!(chunk, "event: {}\ndata: ", line.name);
    // JSON from elsewhere may be spread over lines, which here would end the field. In JSON they mean what a space does.
    chunk.extend(line.data.as_str().bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    chunk.extend_from_slice(b"\n\n");
}
