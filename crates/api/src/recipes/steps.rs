use std::sync::Arc;

use raincheck_core::{Job, StepRecord};
use raincheck_recipes::{Book, Recipe, StepFacts};
use serde_json::Value;

use super::accept::RECIPE;
use crate::api::Api;
use crate::problem::ApiError;

/// How each step of a job of a recipe stands; nothing if it is no such job, or its recipe is not known here any more.
pub(crate) async fn steps(api: &Api, job: &Job, records: &[StepRecord]) -> Result<Option<Vec<StepFacts>>, ApiError> {
    let Some(book) = api.settings.recipes.as_ref().filter(|_| job.spec.kind.as_str() == RECIPE) else {
        return Ok(None);
    };
    let order = api.engine.store().input(job.id).await?;
    let order: Value = order.and_then(|order| order.parse().ok()).unwrap_or_default();
    let records: Vec<(String, Value)> =
        records.iter().map(|step| (step.name.clone(), step.result.parse().unwrap_or_default())).collect();
    let state = job.life.state_at(api.engine.clock().now());
    Ok(recipe(book, &order, &records).map(|recipe| recipe.steps_of(&records, state)))
}

/// The recipe in the version that the job names, or began with.
fn recipe(book: &Book, order: &Value, records: &[(String, Value)]) -> Option<Arc<Recipe>> {
    let recorded = || records.iter().find(|(name, _)| name == RECIPE).map(|(_, version)| version);
    match order.get("version").or_else(recorded).and_then(Value::as_str) {
        Some(version) => book.version(version),
        None => book.named(order.get("recipe")?.as_str()?),
    }
}
