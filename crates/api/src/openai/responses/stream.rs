use std::io::Write;

use axum::body::Bytes;
use axum::response::Response;
use futures_util::stream;
use raincheck_core::Job;

use super::face::Face;
use super::no_such_response;
use super::tale::{Line, Tale};
use crate::api::Api;
use crate::dialect::{Follower, Next, sse};
use crate::problem::ApiError;

/// Shows that the stream is alive: a comment without a blank line behind it, which is no event to any client. One SDK takes
/// `id:` and `retry:` lines for events without data, so that there are none on these streams.
const SIGN_OF_LIFE: &[u8] = b":\n";

/// A Response as server-sent events, from after number `after` (from the first if there is none) to its end.
pub(super) async fn stream(api: &Api, job: &Job, face: Face, after: Option<u64>) -> Result<Response, ApiError> {
    let reader = api.engine.follow(job.id, None, 0).await?.ok_or_else(|| no_such_response(""))?;
    let teller = Teller { follower: Follower::new(api, reader), tale: Tale::new(face), after };
    let chunks = stream::unfold(teller, async |mut teller| {
        let chunk = teller.next().await?;
        Some((chunk, teller))
    });
    Ok(sse(chunks))
}

struct Teller {
    follower: Follower,
    tale: Tale,
    after: Option<u64>,
}

impl Teller {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let events = match self.follower.next().await {
                Next::Events(events) => events,
                Next::Silence => return Some(Bytes::from_static(SIGN_OF_LIFE)),
                Next::End => return None,
            };
            let mut chunk = Vec::with_capacity(events.len() * 256);
            for line in events.iter().flat_map(|event| self.tale.tell(event)) {
                if self.after.is_none_or(|after| line.number > after) {
                    encode(&line, &mut chunk);
                }
            }
            if !chunk.is_empty() {
                return Some(chunk.into());
            }
        }
    }
}

fn encode(line: &Line, chunk: &mut Vec<u8>) {
    // Memory does not fail to be written to.
    let _ = write!(chunk, "event: {}\ndata: ", line.name);
    // JSON from elsewhere may be spread over lines, which here would end the field. In JSON they mean what a space does.
    chunk.extend(line.data.as_str().bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    chunk.extend_from_slice(b"\n\n");
}
