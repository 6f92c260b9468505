use raincheck_core::{Json, Problem, ProblemType};

use super::{KIND, PREFIX, answer, text};
use crate::api::Api;
use crate::auth::{Caller, Submit};
use crate::dialect::{self, Fields, field, invalid};
use crate::problem::ApiError;

/// The field, and the label, that says after which Response one comes.
pub(super) const PREVIOUS: &str = "previous_response_id";

/// A Response that comes after one of ours comes after what its upstream gave, and is asked of the same upstream. Gives our
/// own name for the one before. Names of other forms are the upstream's own, of Responses that were passed on.
pub(super) async fn resolve(
    api: &Api,
    caller: &Caller<Submit>,
    fields: &mut Fields,
) -> Result<Option<String>, ApiError> {
    let Some(id) = field::<String>(fields, PREVIOUS, "the id of a Response")? else { return Ok(None) };
    if dialect::job_of(PREFIX, &id).is_none() {
        return Ok(None);
    }
    let missing = || {
        let problem = Problem::new(ProblemType::NOT_FOUND, format!("Previous response with id '{id}' not found."));
        ApiError::from(problem.at(format!("/{PREVIOUS}")))
    };
    let before = dialect::find(api, PREFIX, &id, KIND, caller.sees()).await?.ok_or_else(missing)?;
    let Some(result) = before.outcome.as_ref().and_then(answer) else {
        return Err(invalid(PREVIOUS, format!("the response {id:?} has not completed; wait for its end first")));
    };
    let theirs = Fields::of(result.as_str()).and_then(|fields| serde_json::from_str(fields.get("id")?).ok());
    let theirs: String = theirs.ok_or_else(missing)?;
    fields.set(PREVIOUS, &text(&theirs));
    if fields.get("upstream").is_none() {
        let steps = api.engine.store().steps(before.id).await?;
        let served = steps.iter().find(|step| step.name == "served").map(|step| &step.result);
        if let Some(upstream) = served.and_then(|served| Fields::of(served.as_str())?.remove("upstream")) {
            fields.set("upstream", &Json::from_text(upstream).unwrap_or_default());
        }
    }
    Ok(Some(id))
}
