use axum::http::HeaderValue;
use axum::response::Response;
use raincheck_core::Job;
use raincheck_store::StoreError;
use serde::Deserialize;

use crate::api::Api;

/// The step that says who served a job.
const STEP: &str = "served";
const SERVED_BY: &str = "raincheck-served-by";

#[derive(Deserialize)]
struct Served {
    upstream: String,
    model: String,
}

/// Says in a header which upstream served a job, if one did.
pub(super) async fn tell(api: &Api, job: &Job, response: &mut Response) -> Result<(), StoreError> {
    if job.life.steps == 0 {
        return Ok(());
    }
    let steps = api.engine.store().steps(job.id).await?;
    let served = steps.iter().find(|step| step.name == STEP).and_then(|step| step.result.parse::<Served>().ok());
    let value = served.and_then(|by| HeaderValue::try_from(format!("{}/{}", by.upstream, by.model)).ok());
    if let Some(value) = value {
        response.headers_mut().insert(SERVED_BY, value);
    }
    Ok(())
}
