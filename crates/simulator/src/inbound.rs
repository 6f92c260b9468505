//! A request as it came in: read whole, noted, and known to be of a dialect.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::config::Dialect;
use crate::draw::{Draw, hash, hex_of, mix};
use crate::fault::{Fault, FaultKind};
use crate::headers;
use crate::ledger::{KEY_BYTES_MAX, Whose};
use crate::line::{Line, Noted};
use crate::refusal::{No, Refusal, Why, cut};
use crate::requests::{self, LOGGED_BODY_BYTES_MAX, Received};
use crate::rules::Asked;
use crate::sim::Sim;

/// What a request may carry.
pub const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Fields that change how an answer is delivered, not what it says.
const DELIVERY: &[&str] = &["stream", "stream_options", "background", "store", "metadata", "user"];

/// A request of a provider's dialect.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) sim: Arc<Sim>,
    pub(crate) dialect: Dialect,
    pub(crate) method: String,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) line: Line,
    pub(crate) request_id: String,
    pub(crate) at: Instant,
}

impl FromRequest<Arc<Sim>> for Inbound {
    type Rejection = Response;

    async fn from_request(request: Request, sim: &Arc<Sim>) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let dialect = dialect_of(parts.uri.path());
        let line = parts.extensions.get::<Line>().cloned().unwrap_or_default();
        let noted = parts.extensions.get::<Noted>().cloned().unwrap_or_default();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map(http_body_util::Collected::to_bytes);
        let too_much = |_| No::new(413, Why::Invalid, format!("a body may have {BODY_BYTES_MAX} bytes"));
        let body = body.map_err(|error| too_much(error).answer(dialect, ""))?;
        let at = Instant::now();
        let number = sim.requests().add(Received {
            number: 0,
            at_ms: u64::try_from((at - sim.started).as_millis()).unwrap_or(u64::MAX),
            method: parts.method.to_string(),
            path: parts.uri.to_string(),
            headers: requests::of_interest(&parts.headers),
            body_sha256: hex_of(&body),
            body_bytes: body.len(),
            body: logged(&body),
            status: None,
        });
        noted.set(number);
        let request_id = format!("{}{:032x}", request_id_start(dialect), spread(sim.config().seed, number));
        let (sim, method) = (Arc::clone(sim), parts.method.to_string());
        Ok(Self { sim, dialect, method, uri: parts.uri, headers: parts.headers, body, line, request_id, at })
    }
}

fn spread(seed: u64, number: u64) -> u128 {
    let high = mix(seed ^ mix(number));
    (u128::from(high) << 64) | u128::from(mix(high ^ number))
}

fn request_id_start(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Openai | Dialect::Anthropic => "req_",
        Dialect::Fal | Dialect::Replicate | Dialect::Http => "",
    }
}

fn dialect_of(path: &str) -> Dialect {
    match path.split('/').nth(1) {
        Some("openai") => Dialect::Openai,
        Some("anthropic") => Dialect::Anthropic,
        Some("fal") => Dialect::Fal,
        Some("replicate") => Dialect::Replicate,
        _ => Dialect::Http,
    }
}

fn logged(body: &[u8]) -> String {
    let most = &body[..body.len().min(LOGGED_BODY_BYTES_MAX)];
    requests::beginning(&String::from_utf8_lossy(most), LOGGED_BODY_BYTES_MAX).to_owned()
}

impl Inbound {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The first parameter of this name.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let pairs = self.uri.query().unwrap_or_default().split('&');
        pairs
            .filter_map(|pair| pair.split_once('=').or(Some((pair, ""))))
            .find(|(key, _)| *key == name)
            .map(|pair| pair.1)
    }

    /// Where callers reach us, as they see it.
    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.header(header::HOST.as_str()).unwrap_or("localhost"))
    }

    /// Whom the ledger counts it for.
    pub(crate) fn whose(&self) -> Whose {
        let key = self.header("idempotency-key").filter(|key| !key.is_empty());
        Whose { dialect: self.dialect, key: key.map(|key| requests::beginning(key, KEY_BYTES_MAX).into()) }
    }

    /// The body as a JSON object; an empty one if there is none.
    ///
    /// # Errors
    /// If it is something else.
    pub(crate) fn json(&self) -> Result<Value, Refusal> {
        if self.body.is_empty() {
            return Ok(Value::Object(Map::new()));
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(fields)) => Ok(Value::Object(fields)),
            Ok(_) => Err(self.refuse(&No::invalid("the body must be a JSON object"))),
            Err(error) => {
                Err(self.refuse(&No::invalid(format!("We could not parse the JSON body of your request: {error}"))))
            }
        }
    }

    /// What the request asks for, whatever the way in which it is to be delivered.
    pub(crate) fn meaning(&self, body: &Value) -> u64 {
        let path = self.uri.path();
        let Some(fields) = body.as_object() else { return hash(&[path.as_bytes(), &self.body]) };
        let kept = fields.iter().filter(|(name, _)| !DELIVERY.contains(&name.as_str()));
        let kept: Map<String, Value> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
        hash(&[path.as_bytes(), Value::Object(kept).to_string().as_bytes()])
    }

    /// An answer that says no.
    pub(crate) fn refuse(&self, no: &No) -> Refusal {
        self.dress(no.answer(self.dialect, &self.request_id)).into()
    }

    /// An answer, with the headers that every answer of the dialect has.
    pub(crate) fn dress(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        headers::identify(headers, self.dialect, &self.request_id);
        headers::took(headers, self.dialect, self.at.elapsed());
        response
    }

    /// The caller's key.
    fn key(&self) -> Option<&str> {
        let bearer = self.header("authorization").and_then(|value| value.split_once(' ')).map(|(_, key)| key.trim());
        bearer.or_else(|| self.header("x-api-key"))
    }

    /// Refuses who has no key, where keys are configured.
    pub(crate) fn authenticate(&self) -> Result<(), Refusal> {
        let (config, key) = (self.sim.config(), self.key());
        let known = config.api_keys.is_empty() || key.is_some_and(|key| config.api_keys.iter().any(|one| one == key));
        let no = || self.refuse(&No::new(401, Why::Unauthenticated, "Incorrect API key provided."));
        if known { Ok(()) } else { Err(no()) }
    }

    /// The fault that this request is to meet.
    ///
    /// # Errors
    /// If it asks for one that there is not.
    pub(crate) fn fault(&self, model: &str, creates: bool, seed: u64) -> Result<Option<Fault>, Refusal> {
        let asked = Fault::asked_for(&self.headers).map_err(|wrong| self.refuse(&No::invalid(wrong.to_string())))?;
        if asked.is_some() && creates {
            return Ok(asked);
        }
        let call = Asked { dialect: self.dialect, model, creates };
        Ok(self.sim.rules().pick(&call, Instant::now(), &mut Draw::new(seed)))
    }

    /// Refuses with a fault, if it is one that refuses; waits for ever, if it is one that hangs.
    pub(crate) async fn meet(&self, fault: Option<&Fault>) -> Result<(), Refusal> {
        let Some(fault) = fault else { return Ok(()) };
        match (fault.kind, fault.status(self.dialect)) {
            (FaultKind::ResetBefore, _) => {
                self.line.reset();
                Err(cut().into())
            }
            (FaultKind::Hang, _) => {
                self.sim.stopping.cancelled().await;
                Err(cut().into())
            }
            (kind, Some(status)) => {
                let mut no = No::fault(kind, status);
                let echoed = (kind == FaultKind::EchoesKey).then(|| self.key().unwrap_or_default());
                if let Some(key) = echoed {
                    no.message = format!("{} The key was {key}.", no.message);
                }
                let Refusal(mut response) = self.refuse(&no);
                if let Some(Ok(key)) = echoed.map(axum::http::HeaderValue::from_str) {
                    response.headers_mut().insert("x-sim-key", key);
                }
                let wait = fault.wait().unwrap_or(std::time::Duration::from_secs(1));
                headers::retry_after(response.headers_mut(), fault.retry_after, wait);
                Err(Refusal(response))
            }
            (_, None) => Ok(()),
        }
    }

    /// A request that looks after work: authenticated, and met by a fault if one is due.
    pub(crate) async fn look(&self) -> Result<(), Refusal> {
        self.look_at("").await
    }

    /// As [`Inbound::look`]; `model` is what rules for faults call what is looked at.
    pub(crate) async fn look_at(&self, model: &str) -> Result<(), Refusal> {
        self.authenticate()?;
        let seed = hash(&[self.request_id.as_bytes()]);
        let fault = self.fault(model, false, seed)?;
        self.meet(fault.as_ref()).await
    }
}
