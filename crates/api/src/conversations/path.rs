use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use raincheck_core::{ConversationId, ProblemType};
use raincheck_store::ConversationRefusal;

use crate::problem::ApiError;

/// The conversation that a path names. Text that cannot be an id names none, like any other unknown one.
pub(crate) struct ConversationPath(pub(crate) ConversationId);

impl<S: Send + Sync> FromRequestParts<S> for ConversationPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::new(ProblemType::MALFORMED_REQUEST, "the path is not percent-encoded UTF-8"))?;
        text.parse().map(Self).map_err(|_| no_such_conversation())
    }
}

/// There is no such conversation for the caller. No answer tells an unknown one from another tenant's.
pub(super) fn no_such_conversation() -> ApiError {
    ConversationRefusal::Unknown.problem().into()
}
