use raincheck_core::{Problem, ProblemType};
use serde::de::DeserializeOwned;

use super::Fields;
use crate::body::JsonBody;
use crate::problem::ApiError;

/// The fields of a request's body. None stands there twice, or the upstream might read another `model` than was read here.
pub(crate) fn fields(body: &JsonBody) -> Result<Fields, ApiError> {
    let Some(fields) = std::str::from_utf8(body.bytes()).ok().and_then(Fields::of) else {
        body.parse_json()?;
        return Err(ApiError::new(ProblemType::INVALID_REQUEST, "the body should be a JSON object"));
    };
    match fields.repeated() {
        Some(name) => Err(invalid(name, format!("{name} is given twice"))),
        None => Ok(fields),
    }
}

/// A field as `T`; `None` if it is left out or null.
pub(crate) fn field<T: DeserializeOwned>(fields: &Fields, name: &str, expected: &str) -> Result<Option<T>, ApiError> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    serde_json::from_str(value).map_err(|_| invalid(name, format!("{name} should be {expected}")))
}

/// Something that a field cannot be.
pub(crate) fn invalid(name: &str, detail: impl Into<String>) -> ApiError {
    Problem::new(ProblemType::INVALID_REQUEST, detail).at(format!("/{name}")).into()
}
