use raincheck_core::Event;

use super::follow::{Follower, Next};
use crate::websocket;

/// A log by a WebSocket, from where the follower stands to the last event of the job: each event is a message, as JSON.
pub(super) struct Telling(pub(super) Follower);

impl websocket::Telling for Telling {
    async fn next(&mut self) -> Option<Vec<String>> {
        // An event is made of what came as JSON and can be said as such.
        let text = |event: &Event| serde_json::to_string(event).unwrap_or_default();
        match self.0.next().await {
            Next::Events(events) => Some(events.iter().map(text).collect()),
            Next::Silence => Some(Vec::new()),
            Next::End => None,
        }
    }
}
