use raincheck_core::{Labels, Problem, ProblemType};
use raincheck_engine::{Failure, Idempotency, Submission};
use raincheck_recipes::{FollowUp, Scope};

use super::course::Course;

/// The label that says of which recipe a job is.
const RECIPE: &str = "recipe";

impl Course<'_> {
    /// Asks for the jobs that follow this one; they are accepted with its end, or not at all.
    ///
    /// # Errors
    /// If one cannot be asked for: the work is done, and what should follow it is a mistake of the recipe.
    pub(super) async fn follow_up(&self, scope: &Scope) -> Result<(), Failure> {
        for follow_up in &self.recipe.follow_ups {
            let what = format!("follow-up {}", follow_up.name);
            if follow_up.applies(scope).map_err(|error| self.broken(&what, &error))? {
                let submission = self.submission(follow_up, scope)?;
                self.context.follow_up(submission).await?;
            }
        }
        Ok(())
    }

    fn submission(&self, follow_up: &FollowUp, scope: &Scope) -> Result<Submission, Failure> {
        let what = format!("follow-up {}", follow_up.name);
        let wrong = |detail: String| {
            let detail = format!("recipe {}, {what}: {detail}", self.recipe.name);
            Failure::fatal(Problem::new(ProblemType::HANDLER_FAILED, detail))
        };
        let recipe = self.recipes.book.named(&follow_up.recipe);
        let recipe = recipe.ok_or_else(|| wrong(format!("there is no recipe {:?} any more", follow_up.recipe)))?;
        let input = follow_up.input.render(scope).map_err(|error| self.broken(&what, &error))?;
        let input = recipe.complete(input).map_err(|misfits| {
            let details: Vec<&str> = misfits.iter().map(|misfit| misfit.detail.as_str()).collect();
            wrong(details.join("; "))
        })?;
        let chosen = recipe.choose(&input).map_err(|error| self.broken(&what, &error))?;
        let kind = RECIPE.parse().map_err(|_| wrong("recipe is no kind".to_owned()))?;
        let (now, tenant) = (self.recipes.clock.now(), &self.context.job().spec.tenant);
        let key = chosen.idempotency_key.as_ref();
        let key = key.map(|key| Idempotency::of(tenant, key.as_bytes(), None, &recipe.fingerprint(&input)));
        Ok(Submission {
            tenant: tenant.clone(),
            queue: chosen.queue,
            priority: chosen.priority,
            labels: Labels::from([(RECIPE.to_owned(), recipe.name.clone())]),
            deadline: chosen.deadline.map(|longest| now.after(longest)),
            max_attempts: recipe.job.max_attempts,
            timeout: recipe.job.timeout,
            retention: recipe.job.retention,
            concurrency_key: chosen.concurrency_key,
            idempotency: key,
            ..Submission::new(kind, recipe.order(&input).into())
        })
    }
}
