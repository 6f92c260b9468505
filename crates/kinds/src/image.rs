//! `image.generate`: pictures (and whatever else such models make) by FAL's queue, Replicate's predictions or OpenAI's images.

mod fal;
mod replicate;

use async_trait::async_trait;
use raincheck_blob::Blobs;
use raincheck_core::{Json, Lane, Openings, Problem, Tenant};
use raincheck_engine::{About, Context, Failure, Handler};
use raincheck_upstream::{CallFailure, Protocol, Request, Route, RouteError, Upstreams};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::calling::{self, Call, OBJECT_MAX, object};
use crate::inline::{self, Inlined};
use crate::once::{Ambiguous, Marks, Steps, is_once, once};
use crate::{input, remote};
use fal::Fal;
use replicate::Replicate;

/// Where a model is looked for, if no upstream is named.
const PROTOCOLS: [Protocol; 3] = [Protocol::Fal, Protocol::Replicate, Protocol::Openai];

/// Runs the jobs of kind `image.generate`.
pub struct ImageGenerate {
    upstreams: Upstreams,
    /// The files that inputs name; ids go through as they are if there are none.
    files: Option<Blobs>,
}

/// What `image.generate` is given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    model: String,
    #[serde(default)]
    upstream: Option<String>,
    #[serde(default)]
    input: Map<String, Value>,
    #[serde(default)]
    on_ambiguous: Option<Ambiguous>,
}

impl ImageGenerate {
    /// A handler that calls these upstreams.
    #[must_use]
    pub fn new(upstreams: Upstreams) -> Self {
        Self { upstreams, files: None }
    }

    /// Sends the files that inputs name along with them.
    #[must_use]
    pub fn with_files(self, files: Blobs) -> Self {
        Self { files: Some(files), ..self }
    }

    fn routes(&self, input: &Input) -> Result<Vec<Route>, Problem> {
        let mut nearest: Option<RouteError> = None;
        for protocol in PROTOCOLS {
            match self.upstreams.routes(protocol, &input.model, input.upstream.as_deref()) {
                Ok(routes) => return Ok(routes),
                Err(error) if nearest.as_ref().is_none_or(|nearest| distance(&error) < distance(nearest)) => {
                    nearest = Some(error);
                }
                Err(_) => {}
            }
        }
        Err(calling::nowhere(&nearest.expect("there are protocols")))
    }
}

/// How far a search was from finding an upstream: what is told is why the nearest one did not, with what there is.
fn distance(error: &RouteError) -> u8 {
    match error {
        RouteError::NotTaken { .. } => 0,
        RouteError::NoModel { .. } => 1,
        RouteError::Unknown { .. } => 2,
        RouteError::NoneSpeaks(_) => 3,
    }
}

#[async_trait]
impl Call for Input {
    async fn call(&self, context: &Context, route: &Route) -> Result<Result<Value, CallFailure>, Failure> {
        let permit = calling::enter(context, route, 0).await?;
        let arguments = Value::Object(self.input.clone());
        let is_once = is_once(route, self.on_ambiguous);
        match route.config().protocol {
            Protocol::Fal => remote::run(context, route, permit, &Fal::new(route, arguments), is_once).await,
            Protocol::Replicate => {
                remote::run(context, route, permit, &Replicate { route, input: arguments }, is_once).await
            }
            Protocol::Openai | Protocol::Anthropic | Protocol::Http => {
                let mut body = self.input.clone();
                body.insert("model".into(), route.model().into());
                let body = serde_json::to_vec(&body).unwrap_or_default();
                let mut request = Request::post("/images/generations", body.into());
                request.idempotency_key = Some(context.key());
                let called = async { object(&route.send(permit, &request).await?.read(OBJECT_MAX).await?) };
                let called = async {
                    tokio::select! {
                        called = called => Ok(called),
                        _ = context.cancelled() => Err(Failure::cancelled()),
                    }
                };
                let marks = Steps::of_job(context);
                once(is_once.then_some(&marks as &dyn Marks), &route.served().upstream, called).await
            }
        }
    }
}

/// An object that says nothing but a file's id stands for the file as an address that holds all of it.
fn data_address(place: &Value, file: &Inlined) -> Option<Value> {
    let is_all = place.as_object().is_some_and(|fields| fields.len() == 1);
    is_all.then(|| format!("data:{};base64,{}", file.media_type, file.base64).into())
}

impl ImageGenerate {
    pub(crate) fn described() -> About {
        let schema = json!({
            "type": "object",
            "properties": {
                "model": { "type": "string", "description": "The model or endpoint, such as fal-ai/flux/dev." },
                "upstream": { "type": "string", "description": "The upstream to call; the first that takes the model if left out." },
                "input": { "type": "object", "description": "What the model is given: the provider's own arguments. Instead of an address it may have {\"file_id\": \"file-…\"}, a file of the tenant's." },
                "on_ambiguous": { "enum": ["retry", "fail"], "description": "What becomes of a call that was sent and not answered." },
            },
            "required": ["model"],
            "additionalProperties": false,
        });
        let kind = "image.generate".parse().expect("a constant name");
        let summary = "Makes pictures by FAL's queue, Replicate's predictions or OpenAI's images.";
        let about = About::new(kind, summary, Json::from(schema));
        About { max_attempts: calling::ATTEMPTS, concurrency: 1_024, ..about }
    }
}

#[async_trait]
impl Handler for ImageGenerate {
    fn about(&self) -> About {
        let about = Self::described();
        // A call ends by its upstream's own time-out: the attempt's is behind it.
        let longest = PROTOCOLS.into_iter().filter_map(|protocol| self.upstreams.longest_call(protocol)).max();
        About { timeout: about.timeout.max(longest.unwrap_or_default() * 2), ..about }
    }

    async fn check(&self, input: &Json) -> Result<(), Problem> {
        self.routes(&input::read(input)?).map(drop)
    }

    async fn check_for(&self, tenant: &Tenant, input: &Json) -> Result<(), Problem> {
        self.check(input).await?;
        let Some(files) = &self.files else { return Ok(()) };
        let input: Input = input::read(input)?;
        inline::check(files, tenant, &Value::Object(input.input), "/input/input")
    }

    fn lane(&self, input: &Json) -> Option<Lane> {
        Upstreams::lane(&self.routes(&input.parse().ok()?).ok()?)
    }

    fn openings(&self) -> Openings {
        self.upstreams.openings()
    }

    async fn run(&self, context: Context, input: Json) -> Result<Json, Failure> {
        let mut input: Input = input::read(&input)?;
        let routes = self.routes(&input)?;
        // Work that is under way is only waited for, and its files may be gone.
        if let Some(files) = &self.files
            && remote::place(&context, &routes)?.is_none()
        {
            let arguments = Value::Object(std::mem::take(&mut input.input));
            let inlined = inline::inlined(files, &context.job().spec.tenant, arguments, data_address).await?;
            input.input = inlined.as_object().cloned().unwrap_or_default();
        }
        calling::first_that_serves(&context, &routes, &input).await
    }
}
