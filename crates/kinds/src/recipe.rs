//! `recipe`: runs what a recipe says, step by step, each of which is the work of another kind.

mod course;
mod follow;
mod meter;
mod talk;
mod tried;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::{Json, Lane, Openings, Problem, ProblemType, Tenant};
use raincheck_engine::{About, Chance, Clock, Context, Failure, Handler, Registry};
use raincheck_recipes::{Book, Misfit, Recipe, Scope, Step, Template, TemplateError, nearest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::calling::ATTEMPTS;
use crate::input;
use course::Course;

/// The longest that one attempt at a recipe may take, unless it says otherwise: its steps have time-outs of their own.
const TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// How many recipes run at once.
const CONCURRENCY: usize = 1_024;
/// Recorded first: the version that the job began with.
const VERSION: &str = "recipe";

/// Runs the jobs of recipes.
pub struct Recipes {
    book: Book,
    /// What steps can be.
    kinds: Registry,
    clock: Arc<dyn Clock>,
    chance: Chance,
}

/// What a job of a recipe is given.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The recipe's name.
    pub recipe: String,
    /// Its version; the one in force when the job begins, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What the recipe is given.
    #[serde(default)]
    pub input: Value,
}

impl Recipes {
    /// Runs recipes of the book, whose steps are work of these kinds.
    #[must_use]
    pub fn new(book: Book, kinds: Registry, clock: Arc<dyn Clock>) -> Self {
        Self { book, kinds, clock, chance: Chance::from_system() }
    }

    fn recipe(&self, order: &Order) -> Result<Arc<Recipe>, Problem> {
        let found = match &order.version {
            Some(version) => self.book.version(version),
            None => self.book.named(&order.recipe),
        };
        found.ok_or_else(|| {
            let known: Vec<String> = self.book.recipes().iter().map(|recipe| recipe.name.clone()).collect();
            let near = nearest(&order.recipe, known.iter().map(String::as_str));
            let hint =
                near.map_or_else(|| format!("there are: {}", known.join(", ")), |near| format!("did you mean {near}?"));
            let which = order.version.as_ref().map_or("", |_| " in the version that it names");
            let detail = format!("there is no recipe {:?}{which}; {hint}", order.recipe);
            Problem::new(ProblemType::INVALID_INPUT, detail).at("/input/recipe")
        })
    }

    /// The recipe and its input, complete.
    fn read(&self, input: &Json) -> Result<(Arc<Recipe>, Value), Problem> {
        let order: Order = input::read(input)?;
        let recipe = self.recipe(&order)?;
        let input = recipe.complete(order.input).map_err(|misfits| misfit(misfits.first()))?;
        Ok((recipe, input))
    }

    /// Asks the kinds of those steps whose input is known already whether they would take it.
    async fn check_steps(&self, tenant: &Tenant, recipe: &Recipe, input: &Value) -> Result<(), Problem> {
        let scope = Scope::of_input(input);
        for step in recipe.steps.iter().filter(|step| step.follows_from_input()) {
            let Some((_, Some(handler))) = self.kinds.get(&step.call.kind) else { continue };
            let Some(given) = given(step, &scope).map_err(|error| broken(step, &error))? else { continue };
            handler.check_for(tenant, &given).await.map_err(|problem| at_its_field(problem, step))?;
        }
        Ok(())
    }
}

/// What a step is given; `None` if it is left out.
fn given(step: &Step, scope: &Scope) -> Result<Option<Json>, TemplateError> {
    if !step.applies(scope)? {
        return Ok(None);
    }
    step.call.input.render(scope).map(|given| Some(Json::from(given)))
}

fn misfit(misfit: Option<&Misfit>) -> Problem {
    let (pointer, detail) = misfit.map(|misfit| (misfit.pointer.as_str(), misfit.detail.as_str())).unwrap_or_default();
    let pointer = format!("/input/input/{}", pointer.trim_start_matches('/'));
    Problem::new(ProblemType::INVALID_INPUT, detail).at(pointer)
}

/// An expression that has no value for this input is the input's fault as far as anyone can tell.
fn broken(step: &Step, error: &TemplateError) -> Problem {
    Problem::new(ProblemType::INVALID_INPUT, format!("step `{}`: {error}", step.name))
}

/// A step's refusal points into the step's input; the caller knows only that of the recipe, from which it was copied.
fn at_its_field(mut problem: Problem, step: &Step) -> Problem {
    let field = problem.pointer.take().and_then(|pointer| {
        let name = pointer.strip_prefix("/input/")?.split('/').next()?.to_owned();
        let Template::Table(entries) = &step.call.input else { return None };
        let (_, value) = entries.iter().find(|(entry, _)| *entry == name)?;
        let [formula] = value.formulas()[..] else { return None };
        Some(formula.references().first()?.strip_prefix("input.")?.replace('.', "/"))
    });
    match field {
        Some(field) => problem.at(format!("/input/input/{field}")),
        None => problem,
    }
}

#[async_trait]
impl Handler for Recipes {
    fn about(&self) -> About {
        let kind = "recipe".parse().expect("a constant name");
        let schema = json!({
            "type": "object",
            "properties": {
                "recipe": { "type": "string", "description": "The recipe's name." },
                "version": { "type": "string", "description": "Its version; the one in force if left out." },
                "input": { "description": "What the recipe is given." },
            },
            "required": ["recipe"],
            "additionalProperties": false,
        });
        let about = About::new(kind, "Runs what a recipe says, step by step.", schema.into());
        About { max_attempts: ATTEMPTS, concurrency: CONCURRENCY, timeout: TIMEOUT, ..about }
    }

    async fn check_for(&self, tenant: &Tenant, input: &Json) -> Result<(), Problem> {
        let (recipe, input) = self.read(input)?;
        self.check_steps(tenant, &recipe, &input).await
    }

    /// That of the first step, if it is certain to be the first to need an upstream. A recipe that has something to say when
    /// an upstream is down must not wait for it.
    fn lane(&self, input: &Json) -> Option<Lane> {
        let (recipe, input) = self.read(input).ok()?;
        let patient = recipe.steps.iter().all(|step| step.on_error.is_none() && step.deadline.is_none());
        let first = recipe.steps.first().filter(|step| patient && step.follows_from_input())?;
        let given = given(first, &Scope::of_input(&input)).ok()??;
        let (_, handler) = self.kinds.get(&first.call.kind)?;
        handler?.lane(&given)
    }

    fn openings(&self) -> Openings {
        let handlers = self.kinds.kinds().filter_map(|about| self.kinds.get(&about.kind)?.1);
        handlers.map(|handler| handler.openings()).fold(Openings::default(), |mut all, of_one| {
            of_one.known.iter().for_each(|(lane, most)| all.limit(lane, *most));
            Openings { other: all.other.min(of_one.other), ..all }
        })
    }

    async fn run(&self, context: Context, input: Json) -> Result<Json, Failure> {
        let mut order: Order = input::read(&input)?;
        if order.version.is_none() {
            let current = self.recipe(&order)?.version.clone();
            order.version = Some(context.step(VERSION, async { Ok(current) }).await?);
        }
        let recipe = self.recipe(&order)?;
        let input = recipe.complete(order.input).map_err(|misfits| misfit(misfits.first()))?;
        Course::new(&context, &recipe, self, &input).run().await
    }
}
