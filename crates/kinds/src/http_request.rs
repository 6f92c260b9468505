use async_trait::async_trait;
use bytes::Bytes;
use raincheck_core::gate::Fault;
use raincheck_core::{Json, Lane, Openings, Problem, ProblemType};
use raincheck_engine::{About, Context, Failure, Handler};
use raincheck_upstream::{CallFailure, Protocol, Request, Route, Upstreams};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::calling::{self, Call, OBJECT_MAX};
use crate::input;
use crate::once::{Ambiguous, Marks, Steps, is_once, once};

/// The model of the gate: an endpoint that is just HTTP has none.
const MODEL: &str = "http";
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
/// Those that only ask.
const SAFE: [&str; 2] = ["GET", "HEAD"];
/// Headers that are the connection's, the key's or the upstream's own affair.
const NOT_THE_CALLERS: [&str; 9] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "authorization",
    "proxy-authorization",
];

/// `http.request`: calls any slow HTTP endpoint that the operator has configured as an upstream.
pub struct HttpRequest {
    upstreams: Upstreams,
}

/// What `http.request` is given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    upstream: String,
    #[serde(default = "post")]
    method: String,
    path: String,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    body: Option<Value>,
    #[serde(default)]
    expect: Vec<u16>,
    #[serde(default)]
    on_ambiguous: Option<Ambiguous>,
}

fn post() -> String {
    "POST".to_owned()
}

impl HttpRequest {
    /// A handler that calls these upstreams.
    #[must_use]
    pub fn new(upstreams: Upstreams) -> Self {
        Self { upstreams }
    }

    fn routes(&self, input: &Input) -> Result<Vec<Route>, Problem> {
        calling::routes(&self.upstreams, Protocol::Http, MODEL, Some(&input.upstream))
    }
}

impl Input {
    fn read(input: &Json) -> Result<Self, Problem> {
        let wrong = |pointer: String, detail: &str| Err(Problem::new(ProblemType::INVALID_INPUT, detail).at(pointer));
        let read: Self = input::read(input)?;
        if !METHODS.contains(&read.method.as_str()) {
            return wrong("/input/method".into(), "expected one of GET, HEAD, POST, PUT, PATCH, DELETE");
        }
        if !read.path.starts_with('/') || read.path.starts_with("//") {
            return wrong(
                "/input/path".into(),
                "expected a path below the upstream's base_url, beginning with one slash",
            );
        }
        if let Some(name) = read.headers.keys().find(|name| NOT_THE_CALLERS.contains(&name.to_lowercase().as_str())) {
            return wrong(format!("/input/headers/{name}"), "this header is not the caller's to set");
        }
        if let Some(status) = read.expect.iter().find(|status| !(200..600).contains(*status)) {
            return wrong("/input/expect".into(), &format!("{status} is no status from 200 to 599"));
        }
        read.request("").map_err(|detail| Problem::new(ProblemType::INVALID_INPUT, detail).at("/input/headers"))?;
        Ok(read)
    }

    /// What is sent. Text goes as it is, everything else as JSON.
    fn request(&self, key: &str) -> Result<Request, String> {
        let (body, is_json) = match &self.body {
            None => (Bytes::new(), false),
            Some(Value::String(text)) => (Bytes::from(text.clone()), false),
            Some(value) => (Bytes::from(value.to_string()), true),
        };
        let headers = self.headers.iter().map(|(name, value)| match value.as_str() {
            Some(value) => Ok((name.as_str(), value)),
            None => Err(format!("the header {name} has no text")),
        });
        let headers: Vec<(&str, &str)> = headers.collect::<Result<_, _>>()?;
        let mut request = Request::of(&self.method, &self.path, &headers, body, is_json)?;
        request.idempotency_key = (!key.is_empty()).then(|| key.to_owned());
        Ok(request)
    }

    /// What changes nothing may be asked as often as one likes.
    fn is_once(&self, route: &Route) -> bool {
        !SAFE.contains(&self.method.as_str()) && is_once(route, self.on_ambiguous)
    }

    fn expects(&self, status: u16) -> bool {
        if self.expect.is_empty() { (200..300).contains(&status) } else { self.expect.contains(&status) }
    }
}

#[async_trait]
impl Call for Input {
    async fn call(&self, context: &Context, route: &Route) -> Result<Result<Value, CallFailure>, Failure> {
        let permit = calling::enter(context, route, 0).await?;
        let request = self.request(&context.key()).map_err(Failure::transient)?;
        let called = async {
            match route.send(permit, &request).await {
                // A refusal that was reckoned with is a result.
                Err(failure) => match failure.status {
                    Some(status) if self.expect.contains(&status) => {
                        Ok(json!({"status": status, "headers": {}, "body": failure.body}))
                    }
                    _ => Err(failure),
                },
                Ok(answer) => {
                    let (status, headers) = (answer.status.as_u16(), shown(&answer.headers));
                    let bytes = answer.read(OBJECT_MAX).await?;
                    if !self.expects(status) {
                        let fault = Fault::Status { status: 422, code: None };
                        return Err(CallFailure::unexpected(fault, status));
                    }
                    let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
                    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
                    let mut result = json!({"status": status, "headers": headers, "body": body});
                    // Endpoints that are there to be looked at say again what they were sent.
                    route.hide_key(&mut result);
                    Ok(result)
                }
            }
        };
        let called = async {
            tokio::select! {
                called = called => Ok(called),
                _ = context.cancelled() => Err(Failure::cancelled()),
            }
        };
        let marks = Steps::of_job(context);
        once(self.is_once(route).then_some(&marks as &dyn Marks), &route.served().upstream, called).await
    }
}

/// The headers that are text. One that is given twice is joined.
fn shown<'a>(headers: impl IntoIterator<Item = (impl AsRef<str> + 'a, impl AsRef<[u8]> + 'a)>) -> Value {
    let mut shown = Map::new();
    for (name, value) in headers {
        let Ok(value) = std::str::from_utf8(value.as_ref()) else { continue };
        match shown.get_mut(name.as_ref()) {
            Some(Value::String(known)) => *known = format!("{known}, {value}"),
            _ => drop(shown.insert(name.as_ref().to_owned(), value.into())),
        }
    }
    shown.into()
}

impl HttpRequest {
    pub(crate) fn described() -> About {
        let schema = json!({
            "type": "object",
            "properties": {
                "upstream": { "type": "string", "description": "The upstream to call, of protocol http." },
                "method": { "enum": METHODS, "default": "POST" },
                "path": { "type": "string", "description": "Below the upstream's base_url, with its query." },
                "headers": { "type": "object", "additionalProperties": { "type": "string" } },
                "body": { "description": "Text is sent as it is, everything else as JSON." },
                "expect": { "type": "array", "items": { "type": "integer" }, "description": "The statuses that are a result; 200 to 299 if left out." },
                "on_ambiguous": { "enum": ["retry", "fail"], "description": "What becomes of a call that was sent and not answered." },
            },
            "required": ["upstream", "path"],
            "additionalProperties": false,
        });
        let kind = "http.request".parse().expect("a constant name");
        let about = About::new(kind, "Calls a slow HTTP endpoint.", Json::from(schema));
        About { max_attempts: calling::ATTEMPTS, concurrency: 1_024, ..about }
    }
}

#[async_trait]
impl Handler for HttpRequest {
    fn about(&self) -> About {
        let about = Self::described();
        // A call ends by its upstream's own time-out: the attempt's is behind it.
        let longest = self.upstreams.longest_call(Protocol::Http).unwrap_or_default();
        About { timeout: about.timeout.max(longest * 2), ..about }
    }

    async fn check(&self, input: &Json) -> Result<(), Problem> {
        self.routes(&Input::read(input)?).map(drop)
    }

    fn lane(&self, input: &Json) -> Option<Lane> {
        Upstreams::lane(&self.routes(&Input::read(input).ok()?).ok()?)
    }

    fn openings(&self) -> Openings {
        self.upstreams.openings()
    }

    async fn run(&self, context: Context, input: Json) -> Result<Json, Failure> {
        let input = Input::read(&input)?;
        let routes = self.routes(&input)?;
        calling::first_that_serves(&context, &routes, &input).await
    }
}
