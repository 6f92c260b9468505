use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};
use raincheck_core::{Job, Json, Problem, ProblemType, Retry};
use raincheck_engine::{Context, Failure};
use raincheck_recipes::{BEGAN, Began, Ended, How, JobFacts, Recipe, Scope, Step, TemplateError};
use serde_json::Value;

use super::Recipes;
use super::meter::Meter;
use super::tried::{Place, Tried};

/// The most items of a loop.
const ITEMS_MAX: usize = 1_000;

/// One attempt at a recipe. What is recorded is not done again.
pub(super) struct Course<'a> {
    pub(super) context: &'a Context,
    pub(super) recipe: &'a Recipe,
    pub(super) recipes: &'a Recipes,
    pub(super) meter: Arc<Meter>,
    /// The input, and what there is to say of the job.
    pub(super) scope: Scope,
}

impl<'a> Course<'a> {
    pub(super) fn new(context: &'a Context, recipe: &'a Recipe, recipes: &'a Recipes, input: &Value) -> Self {
        let meter = Meter::new(context.clone(), recipe.steps.len());
        let scope = Scope::of_input(input).with_job(&facts(context.job()));
        Self { context, recipe, recipes, meter, scope }
    }

    /// Does every step as soon as those that it needs have ended. Once one has failed none is begun, and those under way are
    /// waited for: what they do may be paid for already.
    ///
    /// # Errors
    /// Why a step failed.
    pub(super) async fn run(mut self) -> Result<Json, Failure> {
        if let Some(conversation) = self.conversation().await? {
            self.scope = self.scope.clone().with_conversation(&conversation);
        }
        self.go().await
    }

    async fn go(&self) -> Result<Json, Failure> {
        let mut ended = BTreeMap::<usize, Ended>::new();
        let (mut begun, mut failed) = (BTreeSet::new(), None::<Failure>);
        let mut under_way = FuturesUnordered::new();
        loop {
            for (at, step) in self.recipe.steps.iter().enumerate() {
                let ready = failed.is_none() && step.needs.iter().all(|need| ended.contains_key(need));
                if ready && begun.insert(at) {
                    let scope = self.scope_of(step.needs.iter().copied(), &ended);
                    under_way.push(async move { (at, self.step(at, step, scope).await) });
                }
            }
            match under_way.next().await {
                None => break,
                Some((at, Ok(step))) => drop(ended.insert(at, step)),
                Some((_, Err(failure))) => failed = Some(worse(failed, failure)),
            }
            self.context.arrived();
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
        let degraded = ended.values().any(|step| step.state == How::Degraded);
        let scope = self.scope_of(0..self.recipe.steps.len(), &ended).with_degraded(degraded);
        if let Some(require) = &self.recipe.require
            && let Some(detail) = require.broken(&scope).map_err(|error| self.broken("[require]", &error))?
        {
            return Err(Failure::fatal(Problem::new(ProblemType::HANDLER_FAILED, detail)));
        }
        let result = self.result(&ended, &scope)?;
        let scope = scope.with_result(&result);
        self.speak(&scope)?;
        self.follow_up(&scope).await?;
        Ok(result.into())
    }

    fn result(&self, ended: &BTreeMap<usize, Ended>, scope: &Scope) -> Result<Value, Failure> {
        let Some(template) = &self.recipe.result else {
            return Ok(ended.values().next_back().map(|last| last.result.clone()).unwrap_or_default());
        };
        template.render(scope).map_err(|error| self.broken("the result", &error))
    }

    /// What a step sees: the results of those that it waited for.
    fn scope_of(&self, steps: impl Iterator<Item = usize>, ended: &BTreeMap<usize, Ended>) -> Scope {
        let named = |at: usize| Some((self.recipe.steps[at].name.clone(), ended.get(&at)?.result.clone()));
        self.scope.clone().with_steps(&steps.filter_map(named).collect())
    }

    async fn step(&self, at: usize, step: &Step, scope: Scope) -> Result<Ended, Failure> {
        if let Some(ended) = self.context.recorded::<Ended>(&step.name)? {
            self.meter.done(at);
            return Ok(ended);
        }
        let now = || self.recipes.clock.now();
        if !step.applies(&scope).map_err(|error| self.broken(&step.name, &error))? {
            let (state, ended_at) = (How::Skipped, now());
            let skipped = Ended { state, began_at: None, ended_at, error: None, result: Value::Null };
            self.meter.done(at);
            return self.context.step(&step.name, async { Ok(skipped) }).await;
        }
        let began = async { Ok(Began { began_at: now() }) };
        let Began { began_at } = self.context.step(&format!("{}{BEGAN}", step.name), began).await?;
        if let Some(message) = &step.message {
            let message = message.render(&scope).map_err(|error| self.broken(&step.name, &error))?;
            self.meter.say(message.as_str().unwrap_or_default());
        }
        let place = Place { at, item: 0, name: step.name.clone(), began_at };
        let tried = match &step.for_each {
            None => self.attempt(step, &place, scope).await?,
            Some(list) => {
                let list = list.compute(&scope).map_err(|error| self.broken(&step.name, &error))?;
                self.each(step, &place, &scope, list).await?
            }
        };
        let Tried { state, error, result } = tried;
        let ended = Ended { state, began_at: Some(began_at), ended_at: now(), error, result };
        let ended = self.context.step(&step.name, async { Ok(ended) }).await?;
        self.meter.done(at);
        Ok(ended)
    }

    /// Does a step for each item of a list, so many at once; gives the results in the order of the list.
    async fn each(&self, step: &Step, place: &Place, scope: &Scope, list: Value) -> Result<Tried, Failure> {
        let Value::Array(items) = list else { return Err(self.wrong(step, "`for_each` gives no list")) };
        if items.len() > ITEMS_MAX {
            let wrong = format!("`for_each` gives a list of {} items; {ITEMS_MAX} may be", items.len());
            return Err(self.wrong(step, &wrong));
        }
        self.meter.items(place.at, items.len());
        let each: Vec<_> = (0..)
            .zip(&items)
            .map(|(number, item)| {
                let name = format!("{}[{number}]", place.name);
                let scope = scope.clone().at_item(item, number);
                self.item(step, Place { item: number, name, at: place.at, began_at: place.began_at }, scope)
            })
            .collect();
        // All are waited for, as with steps.
        let all: Vec<Result<Tried, Failure>> = stream::iter(each).buffered(step.concurrency).collect().await;
        let (mut results, mut error, mut failed) = (Vec::with_capacity(all.len()), None, None::<Failure>);
        for tried in all {
            match tried {
                Ok(tried) => {
                    results.push(tried.result);
                    error = error.or(tried.error);
                }
                Err(failure) => failed = Some(worse(failed, failure)),
            }
        }
        let state = if error.is_some() { How::Degraded } else { How::Completed };
        failed.map_or_else(|| Ok(Tried { state, error, result: Value::Array(results) }), Err)
    }

    /// Does a step for one item.
    async fn item(&self, step: &Step, place: Place, scope: Scope) -> Result<Tried, Failure> {
        let tried = match self.context.recorded(&place.name)? {
            Some(tried) => tried,
            None => {
                let tried = self.attempt(step, &place, scope).await?;
                self.context.step(&place.name, async { Ok(tried) }).await?
            }
        };
        self.meter.ended(place.at, place.item);
        Ok(tried)
    }

    /// An expression has no value, and will not have one in another attempt.
    pub(super) fn broken(&self, what: &str, error: &TemplateError) -> Failure {
        let detail = format!("recipe {}, {what}: {error}", self.recipe.name);
        Failure::fatal(Problem::new(ProblemType::HANDLER_FAILED, detail))
    }

    fn wrong(&self, step: &Step, what: &str) -> Failure {
        let detail = format!("recipe {}, {}: {what}", self.recipe.name, step.name);
        Failure::fatal(Problem::new(ProblemType::HANDLER_FAILED, detail))
    }
}

/// Of two failures the one that says more about whether there is a point in trying again.
fn worse(one: Option<Failure>, other: Failure) -> Failure {
    match one {
        Some(one) if one.retry == Retry::Never || other.retry != Retry::Never => one,
        _ => other,
    }
}

/// What steps may say of their job.
fn facts(job: &Job) -> JobFacts {
    let id = job.id.to_string();
    JobFacts {
        uuid: job.id.uuid(),
        state: job.life.state.to_string(),
        attempt: job.life.attempt,
        times: [Some(job.spec.created_at.to_string()), None, None],
        id,
        ..JobFacts::default()
    }
}
