use std::time::Duration;

use raincheck_core::Progress;
use raincheck_engine::{Context, Failure, Stop};
use raincheck_upstream::{CallFailure, Permit, Request, Route, Usage};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{OBJECT_MAX, object};

/// How often the upstream is asked how far it is: at first, and at last.
const ASK_FIRST: Duration = Duration::from_secs(1);
const ASK_LAST: Duration = Duration::from_secs(10);
/// How long a cancelled job waits for the upstream to hear of it.
const CANCEL_WITHIN: Duration = Duration::from_secs(5);
/// How often in a row it may give no answer about a call before that is given up.
const SILENT_MAX: u32 = 20;

/// The upstream's own name for the call, recorded before it is waited for: after a restart the call is found again instead of
/// being made, and paid for, twice.
#[derive(Debug, Serialize, Deserialize)]
struct Started {
    id: String,
}

/// Has the upstream answer in its own background mode, and waits for that.
pub(super) async fn run(
    context: &Context,
    route: &Route,
    permit: Permit,
    body: &Map<String, Value>,
) -> Result<Result<Value, CallFailure>, Failure> {
    let mut refused = None;
    let name = format!("started at {}", route.served().upstream);
    let started = context.step(&name, async {
        match start(context, route, body).await {
            Ok(id) => Ok(Started { id }),
            Err(failure) => {
                refused = Some(failure);
                Err(Failure::transient("the upstream did not take the call"))
            }
        }
    });
    let started = match started.await {
        Ok(started) => started,
        Err(failure) => return refused.map_or(Err(failure), |refused| Ok(Err(refused))),
    };
    let result = wait(context, route, &started.id).await?;
    if let Ok(response) = &result {
        permit.end(Usage::read(response));
    }
    Ok(result)
}

async fn start(context: &Context, route: &Route, body: &Map<String, Value>) -> Result<String, CallFailure> {
    let mut body = body.clone();
    ["upstream", "on_ambiguous", "stream"].iter().for_each(|name| drop(body.remove(*name)));
    body.insert("model".into(), route.model().into());
    body.insert("background".into(), true.into());
    // Without it the answer is forgotten minutes after it is there.
    body.insert("store".into(), true.into());
    let mut request = Request::post("/responses", serde_json::to_vec(&body).unwrap_or_default().into());
    request.idempotency_key = Some(context.job().id.to_string());
    let response = object(&route.send_aside(&request).await?.read(OBJECT_MAX).await?)?;
    let id = response.get("id").and_then(Value::as_str).map(str::to_owned);
    id.ok_or_else(|| CallFailure::malformed("the answer has no id".into()))
}

async fn wait(context: &Context, route: &Route, id: &str) -> Result<Result<Value, CallFailure>, Failure> {
    let (mut pause, mut silent) = (ASK_FIRST, 0);
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            stop = context.cancelled() => {
                if stop == Stop::Cancelled {
                    let cancel = Request::post(format!("/responses/{id}/cancel"), bytes::Bytes::new());
                    let _ = tokio::time::timeout(CANCEL_WITHIN, route.send_aside(&cancel)).await;
                }
                return Err(Failure::cancelled());
            }
        }
        pause = (pause * 3 / 2).min(ASK_LAST);
        let asked = ask(route, id).await;
        match asked {
            Ok(response) => match response.get("status").and_then(Value::as_str).unwrap_or_default() {
                "queued" => context.progress(Progress::percent(0.0, "The upstream has queued it")),
                "in_progress" => context.progress(Progress::percent(0.0, "The upstream is at work")),
                "completed" | "incomplete" => return Ok(Ok(response)),
                _ => return Ok(Err(CallFailure::said(&response.get("error").cloned().unwrap_or(json!({}))))),
            },
            Err(failure) => {
                silent += 1;
                // It knows nothing of the call, or nothing is heard of it for long.
                if failure.status == Some(404) || silent > SILENT_MAX {
                    return Ok(Err(failure));
                }
                continue;
            }
        }
        silent = 0;
    }
}

async fn ask(route: &Route, id: &str) -> Result<Value, CallFailure> {
    let request = Request::get(format!("/responses/{id}"));
    object(&route.send_aside(&request).await?.read(OBJECT_MAX).await?)
}
