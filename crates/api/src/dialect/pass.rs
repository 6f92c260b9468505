use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use futures_util::StreamExt;
use raincheck_core::{Problem, ProblemType};

use super::live::{Answer, Content, Joined};
use super::passed::gathered;
use super::replay::Reader;
use super::{Request, passed_on, picked};
use crate::api::Api;
use crate::jobs::IDEMPOTENCY_REPLAYED;
use crate::problem::ApiError;
use crate::reply::unbuffered;
use crate::{Passage, Passed, PassedBody};

/// An answer that is one object may have so many bytes.
const BYTES_MAX: usize = 64 << 20;

/// Which of an upstream's headers a dialect gives back.
type GivenBack = fn(&HeaderName) -> bool;

/// Passes a call on: a stream piece by piece, and ended with its reader; anything else whole. If the request was sent before, it
/// is given the call that is being made already.
pub(crate) async fn pass(
    api: &Api,
    passage: &Arc<dyn Passage>,
    mut call: Passed,
    is_streamed: bool,
    request: Request,
    is_given_back: GivenBack,
) -> Result<Response, ApiError> {
    let request = request.by(call.own_key.as_ref());
    let made_up = || format!("rc-{:016x}{:016x}", api.engine.random(), api.engine.random());
    call.idempotency_key = request.key.clone().unwrap_or_else(made_up);
    if is_streamed && !request.is_counted && request.fingerprint.is_none() {
        // Nobody will send it again and mean the same call.
        let answer = passage.pass(call).await.map_err(|refusal| refusal.giving_back(is_given_back))?;
        return Ok(passed_on(answer, is_given_back));
    }
    let (passage, calls) = (Arc::clone(passage), api.calls.clone());
    let made = async move {
        let answer = passage.pass(call).await.map_err(|refusal| refusal.giving_back(is_given_back))?;
        let (parts, pieces): (_, PassedBody) = answer.into_parts();
        let content = match is_streamed {
            true => Content::Stream(calls.replay(pieces)),
            false => Content::Whole(whole(pieces).await?),
        };
        Ok(Answer { status: parts.status, headers: picked(&parts.headers, is_given_back), content })
    };
    let Joined { answer, waiter, is_replayed } = api.calls.join(request, made).await?;
    let mut response = match (answer.content, waiter) {
        (Content::Whole(body), _) => Response::new(Body::from(body)),
        (Content::Stream(replay), waiter) => {
            unbuffered(Response::new(Body::from_stream(gathered(Reader::new(replay, waiter).boxed()))))
        }
    };
    *response.status_mut() = answer.status;
    response.headers_mut().extend(answer.headers);
    if is_replayed {
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// The whole answer, for whoever still waits when it is there.
async fn whole(mut pieces: PassedBody) -> Result<Bytes, ApiError> {
    let broken =
        |detail: String| ApiError::from(Problem::new(ProblemType::UPSTREAM_FAILED, detail).of_upstream(502, None));
    let mut body = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| broken(error.to_string()))?;
        if body.len() + piece.len() > BYTES_MAX {
            return Err(broken(format!("the answer has more than {BYTES_MAX} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.into())
}
