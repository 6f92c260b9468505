use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderName;
use axum::response::Response;
use futures_util::StreamExt;
use raincheck_core::{Problem, ProblemType};

use super::live::Whole;
use super::{Request, passed_on, picked};
use crate::api::Api;
use crate::problem::ApiError;
use crate::{Passage, Passed, PassedBody};

/// An answer that is one object may have so many bytes.
const BYTES_MAX: usize = 64 << 20;

/// Which of an upstream's headers a dialect gives back.
type GivenBack = fn(&HeaderName) -> bool;

/// Passes a call on: a stream piece by piece, and ended with its reader; anything else whole, and if the request was sent before,
/// as the answer to the call that is being made already.
pub(crate) async fn pass(
    api: &Api,
    passage: &Arc<dyn Passage>,
    call: Passed,
    is_streamed: bool,
    request: Request,
    is_given_back: GivenBack,
) -> Result<Response, ApiError> {
    if is_streamed {
        let answer = passage.pass(call).await.map_err(|refusal| refusal.giving_back(is_given_back))?;
        return Ok(passed_on(answer, is_given_back));
    }
    let passage = Arc::clone(passage);
    let made = async move { whole(passage.as_ref(), call, is_given_back).await };
    let whole = api.calls.join(request, made).await?;
    let mut response = Response::new(Body::from(whole.body));
    *response.status_mut() = whole.status;
    *response.headers_mut() = whole.headers;
    Ok(response)
}

/// The whole answer, for whoever still waits when it is there.
async fn whole(passage: &dyn Passage, call: Passed, is_given_back: GivenBack) -> Result<Whole, ApiError> {
    let answer = passage.pass(call).await.map_err(|refusal| refusal.giving_back(is_given_back))?;
    let (parts, mut pieces): (_, PassedBody) = answer.into_parts();
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
    Ok(Whole { status: parts.status, headers: picked(&parts.headers, is_given_back), body: body.into() })
}
