use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, Method, Response};
use futures_util::stream::BoxStream;
use raincheck_blob::Blobs;
use raincheck_core::Problem;
use raincheck_upstream::{GateStatus, Messenger, Secret, UpstreamStatus};

use crate::dialect::picked;
use crate::problem::ApiError;

mod upstreams;

/// What the doors that speak other APIs' dialects lead to.
#[derive(Clone, Default)]
pub struct Doors {
    /// Where calls go whose answer is waited for; `None` if there is no such place.
    pub passage: Option<Arc<dyn Passage>>,
    /// Where uploaded files are kept; `None` if none are taken.
    pub files: Option<Blobs>,
    /// How long the links last that downloads of files are sent to, where files are in a bucket; `None` to pass the bytes on.
    pub link_lifetime: Option<Duration>,
    /// By whom webhooks are told; `None` if none are.
    pub messenger: Option<Messenger>,
}

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doors").finish_non_exhaustive()
    }
}

impl Doors {
    /// The upstream for a job from a door of this protocol.
    pub(crate) fn upstream(&self, protocol: &str, model: &str) -> Result<Option<String>, ApiError> {
        let chosen = self.passage.as_ref().map(|passage| passage.chosen(protocol, model));
        Ok(chosen.transpose()?.flatten())
    }
}

/// Passes calls on to upstreams as they are, for somebody who waits for the answer.
#[async_trait]
pub trait Passage: Send + Sync + 'static {
    /// Makes the call. An answer's body is passed on while it comes.
    ///
    /// # Errors
    /// Why there is no good answer. What an upstream answered is in the problem's `upstream_status` and `upstream_error`.
    async fn pass(&self, call: Passed) -> Result<Response<PassedBody>, NotPassed>;

    /// The upstream of this protocol that takes the model; `None` if there is none of this protocol, and whoever carries out the
    /// job chooses.
    ///
    /// # Errors
    /// If there are some, and none takes the model.
    fn chosen(&self, protocol: &str, model: &str) -> Result<Option<String>, Problem> {
        let _ = (protocol, model);
        Ok(None)
    }

    /// The models that are listed for this protocol, with the upstream of each.
    fn models(&self, protocol: &str) -> Vec<(String, String)> {
        let _ = protocol;
        Vec::new()
    }

    /// The gates that calls go through, as they stand.
    fn gates(&self) -> Vec<GateStatus> {
        self.upstreams().into_iter().flat_map(|upstream| upstream.gates).collect()
    }

    /// Where calls go, as it stands.
    fn upstreams(&self) -> Vec<UpstreamStatus> {
        Vec::new()
    }
}

/// The body of an upstream's answer.
pub type PassedBody = BoxStream<'static, Result<Bytes, Box<dyn std::error::Error + Send + Sync>>>;

/// A call to be passed on.
#[derive(Clone, Debug)]
pub struct Passed {
    /// What the upstream must speak: `openai`, `anthropic` and so on.
    pub protocol: &'static str,
    /// What is asked for; empty if the call names none.
    pub model: String,
    /// The upstream that is called, by its name; the first that takes the model if left out.
    pub upstream: Option<String>,
    /// The caller's own key for the upstream.
    pub own_key: Option<OwnKey>,
    /// The method.
    pub method: Method,
    /// The path below the upstream's base address.
    pub path: String,
    /// The caller's headers, as far as the dialect passes them on.
    pub headers: HeaderMap,
    /// The body, as it came.
    pub body: Bytes,
    /// By what the upstream may recognise the call if it is made again: the same for each of its tries.
    pub idempotency_key: String,
}

/// A caller's own key for an upstream. It is sent there, and neither kept nor shown.
#[derive(Clone, Debug)]
pub struct OwnKey {
    /// The key.
    pub key: Secret,
    /// The caller says that it is one for the upstream. If not, it stood where SDKs put a key, on a server that asks for none: it
    /// is sent where the operator has callers' keys passed on, and ignored elsewhere.
    pub is_meant: bool,
}

/// Why a call that was passed on came to nothing.
#[derive(Clone, Debug)]
pub struct NotPassed {
    /// What went wrong.
    pub problem: Problem,
    /// When it is worth asking again, if it is.
    pub retry_after: Option<Duration>,
    /// The headers of the upstream's refusal, if it is one. Boxed, because results are mostly good.
    pub headers: Box<HeaderMap>,
}

impl NotPassed {
    /// A call that no upstream has answered.
    #[must_use]
    pub fn new(problem: Problem) -> Self {
        Self { problem, retry_after: None, headers: Box::default() }
    }

    /// As a client is told it, with those of the upstream's headers that the dialect gives back.
    pub(crate) fn giving_back(self, is_given_back: impl Fn(&HeaderName) -> bool) -> ApiError {
        let headers = picked(&self.headers, is_given_back);
        ApiError::from(self).with_headers(headers)
    }
}
