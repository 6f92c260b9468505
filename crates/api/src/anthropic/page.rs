use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use crate::problem::ApiError;
use crate::query::{Query, malformed};
use crate::reply;

/// Items on a page, unless asked otherwise, and at most.
const LIMIT_DEFAULT: usize = 20;
const LIMIT_MAX: usize = 1_000;

/// Which part of a list is wanted.
pub(super) struct Wanted {
    /// What comes next to this.
    pub(super) place: Place,
    /// So many items, at most.
    pub(super) limit: usize,
}

/// Where a page of a list is.
pub(super) enum Place {
    /// At its beginning.
    First,
    /// Right behind the item with this id.
    After(String),
    /// Right before it.
    Before(String),
}

impl Wanted {
    /// What `limit`, `after_id` and `before_id` say.
    pub(super) fn of(query: &Query) -> Result<Self, ApiError> {
        let id = |name| query.get::<String>(name, "an id");
        let place = match (id("after_id")?, id("before_id")?) {
            (None, None) => Place::First,
            (Some(id), None) => Place::After(id),
            (None, Some(id)) => Place::Before(id),
            (Some(_), Some(_)) => return Err(malformed("use either after_id or before_id".to_owned())),
        };
        Ok(Self { place, limit: query.limit(LIMIT_DEFAULT, LIMIT_MAX)? })
    }
}

/// A page of a list, each item with its id. Whether there are more is told of the direction in which the list is read.
pub(super) fn reply(items: &[Value], has_more: bool) -> Response {
    let id = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    let (first, last) = (id(items.first()), id(items.last()));
    reply::json(StatusCode::OK, &json!({ "data": items, "has_more": has_more, "first_id": first, "last_id": last }))
}
