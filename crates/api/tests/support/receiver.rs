//! Somebody else's server, which is told things.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;

use super::listening::PATIENCE;

/// What it was told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Told {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {:?}", self.headers)).to_str().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Default)]
struct Heard {
    told: Mutex<Vec<Told>>,
    /// What it answers next; 204 once there is nothing more.
    answers: Mutex<VecDeque<(StatusCode, HeaderMap)>>,
}

#[derive(Clone)]
pub(crate) struct Receiver {
    heard: Arc<Heard>,
    port: u16,
}

impl Receiver {
    /// One that first gives these answers.
    pub(crate) async fn answering(answers: impl IntoIterator<Item = (StatusCode, HeaderMap)>) -> Self {
        let heard = Arc::new(Heard { answers: Mutex::new(answers.into_iter().collect()), ..Heard::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().fallback(hear).with_state(Arc::clone(&heard));
        #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { heard, port }
    }

    pub(crate) async fn new() -> Self {
        Self::answering([]).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.heard.told.lock().unwrap().clone()
    }

    /// What it was told so far, once that is as much.
    pub(crate) async fn heard(&self, count: usize) -> Vec<Told> {
        self.until(|told| told.len() >= count).await
    }

    /// What it was told so far, once that is enough.
    pub(crate) async fn until(&self, enough: impl Fn(&[Told]) -> bool) -> Vec<Told> {
        let heard = async {
            loop {
                let told = self.told();
                if enough(&told) {
                    return told;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.unwrap_or_else(|_| panic!("only {:?}", self.told()))
    }
}

async fn hear(State(heard): State<Arc<Heard>>, headers: HeaderMap, body: Bytes) -> Response {
    heard.told.lock().unwrap().push(Told { headers, body });
    heard.answers.lock().unwrap().pop_front().unwrap_or((StatusCode::NO_CONTENT, HeaderMap::new())).into_response()
}
