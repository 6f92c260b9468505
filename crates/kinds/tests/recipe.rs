//! Recipes, run by an engine in this process, whose steps are work that a test can look at.

mod again;
mod course;
mod instead;
mod loops;
mod told;
mod work;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use raincheck_core::{EventBody, Job, JobId, Outcome, Problem};
use raincheck_engine::{Engine, Registry};
use raincheck_kinds::{Echo, Recipes, Sleep};
use raincheck_recipes::{Book, Recipe};
use serde_json::{Value, json};

use crate::support::{end_within, engine_at, log, submit};
use work::{Work, Worked};

/// An engine with a recipe called `it`.
struct Kitchen {
    engine: Engine,
    worked: Arc<Worked>,
}

impl Kitchen {
    /// `steps` is all of the recipe but its head.
    async fn new(steps: &str) -> Self {
        let head = "name = \"it\"\n[route]\npost = \"/it\"\n[input]\nx = { type = \"any\", default = 7 }\n";
        // What stands before the first table belongs to the top.
        let (top, tables) = steps.split_at(steps.find("\n[").unwrap_or(0));
        let recipe = Recipe::read(Path::new("it.toml"), &format!("{top}\n{head}{tables}"));
        let recipe = recipe.unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
        let book = Book::default();
        book.replace(vec![recipe]).unwrap();
        let worked = Arc::new(Worked::default());
        let work = |kind| Work::new(kind, Arc::clone(&worked));
        let kinds = Registry::default().with(Echo).with(Sleep).with(work("work")).with(work("llm.chat"));
        let engine = engine_at(|clock| kinds.clone().with(Recipes::new(book, kinds, clock))).await;
        Self { engine, worked }
    }

    async fn submit(&self, input: Value) -> JobId {
        submit(&self.engine, "recipe", json!({ "recipe": "it", "input": input })).await.unwrap()
    }

    async fn end(&self, job: JobId) -> Job {
        end_within(&self.engine, job, Duration::from_secs(24 * 3600)).await
    }

    /// Runs the recipe to its end.
    async fn run(&self, input: Value) -> Job {
        self.end(self.submit(input).await).await
    }

    /// What the log says of each step that has ended: its name, and how.
    async fn ended(&self, job: &Job) -> Vec<(String, String)> {
        let steps = log(&self.engine, job.id).await.into_iter().filter_map(|event| match event.body {
            EventBody::Step(step) => {
                let record: Value = step.result.parse().unwrap();
                Some((step.name, record["state"].as_str()?.to_owned()))
            }
            _ => None,
        });
        steps.collect()
    }
}

fn result(job: &Job) -> Value {
    match &job.outcome {
        Some(Outcome::Completed(result)) => result.parse().unwrap(),
        other => panic!("expected a result, not {other:?}"),
    }
}

fn problem(job: &Job) -> Problem {
    match &job.outcome {
        Some(Outcome::Failed(problem)) => problem.clone(),
        other => panic!("expected a problem, not {other:?}"),
    }
}
