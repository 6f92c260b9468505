use axum::http::StatusCode;
use axum::response::Response;
use raincheck_core::Json;
use serde_json::json;

use crate::problem::ApiError;
use crate::query::{Query, malformed};
use crate::reply;

/// Which part of a list is wanted.
pub(super) struct Wanted {
    pub(super) after: Option<String>,
    pub(super) limit: usize,
    pub(super) is_ascending: bool,
}

impl Wanted {
    /// What `after`, `limit` and `order` say; the newest first unless asked otherwise.
    pub(super) fn of(query: &Query, default: usize, max: usize) -> Result<Self, ApiError> {
        let order: Option<String> = query.get("order", "asc or desc")?;
        let is_ascending = match order.as_deref() {
            None | Some("desc") => false,
            Some("asc") => true,
            Some(_) => return Err(malformed("order should be asc or desc".to_owned())),
        };
        Ok(Self { after: query.get("after", "an id")?, limit: query.limit(default, max)?, is_ascending })
    }
}

/// A page of a list, as OpenAI's SDKs turn them.
pub(super) struct Page {
    items: Vec<(String, Json)>,
    has_more: bool,
}

impl Page {
    /// The page that is wanted of these items with their ids, the oldest first.
    pub(super) fn of(mut items: Vec<(String, Json)>, wanted: &Wanted) -> Self {
        if !wanted.is_ascending {
            items.reverse();
        }
        if let Some(after) = &wanted.after {
            let seen = items.iter().position(|(id, _)| id == after).map_or(items.len(), |place| place + 1);
            items.drain(..seen);
        }
        let has_more = items.len() > wanted.limit;
        items.truncate(wanted.limit);
        Self { items, has_more }
    }

    /// A page whose items were picked already.
    pub(super) fn picked(items: Vec<(String, Json)>, has_more: bool) -> Self {
        Self { items, has_more }
    }

    pub(super) fn reply(&self) -> Response {
        let data: Vec<&Json> = self.items.iter().map(|(_, item)| item).collect();
        let id = |item: Option<&(String, Json)>| item.map(|(id, _)| id.clone());
        let (first, last) = (id(self.items.first()), id(self.items.last()));
        let data = serde_json::to_string(&data).unwrap_or_default();
        let rest = json!({ "first_id": first, "last_id": last, "has_more": self.has_more }).to_string();
        // The items as they came, so that their numbers keep their digits.
        reply::json_text(StatusCode::OK, format!(r#"{{"object":"list","data":{data},{}"#, &rest[1..]))
    }
}
