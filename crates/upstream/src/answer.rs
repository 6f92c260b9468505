use bytes::Bytes;
use hyper::{HeaderMap, StatusCode};

use crate::{CallFailure, Metered, Served};

/// An upstream's good answer, whose body is still coming.
pub struct Answer {
    /// Its status: below 400.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body. The call counts as under way until it is read to its end or dropped.
    pub body: Metered,
    /// Who served it.
    pub served: Served,
}

impl Answer {
    /// The whole body, which may have so many bytes.
    ///
    /// # Errors
    /// If it is longer, stops coming, or breaks off.
    pub async fn read(mut self, max: usize) -> Result<Bytes, CallFailure> {
        let mut whole = Vec::new();
        while let Some(piece) = self.body.next().await {
            let piece = piece?;
            if whole.len() + piece.len() > max {
                return Err(self.body.fail(&format!("the answer has more than {max} bytes")));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.into())
    }
}
