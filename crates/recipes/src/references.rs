use std::collections::BTreeSet;
use std::ops::Range;

use crate::read::Reading;
use crate::scope::JOB_FACTS;
use crate::template::Formula;
use crate::{Answer, Recipe, Template, nearest};

/// What expressions at one place may refer to.
struct Sight<'r> {
    recipe: &'r Recipe,
    /// The steps whose results are there.
    steps: Vec<&'r str>,
    /// Other names.
    names: Vec<&'static str>,
    /// What may be read of the job there.
    job: &'static [&'static str],
}

/// What an accepted job is known by.
const ACCEPTED: [&str; 4] = ["id", "uuid", "state", "created_at"];

/// Looks whether every expression refers to what is there when it is computed.
pub(crate) fn check(recipe: &Recipe, reading: &mut Reading<'_>) {
    let mut seen: Vec<&str> = Vec::new();
    for step in &recipe.steps {
        let names = if step.for_each.is_some() { vec!["item", "index"] } else { Vec::new() };
        let sight = Sight { recipe, steps: seen.clone(), names, job: &ACCEPTED };
        sight.look(step.formulas(), &step.span, reading);
        seen.push(&step.name);
    }
    let sight = |steps: &[&'static str], names: &[&'static str], job| Sight {
        recipe,
        steps: steps.to_vec(),
        names: names.to_vec(),
        job,
    };
    let whole = 0..0;
    let after = Sight { recipe, steps: seen, names: vec!["degraded"], job: &ACCEPTED };
    after.look(recipe.result.iter().flat_map(|result| result.formulas()).collect(), &whole, reading);
    let key = recipe.job.idempotency_key.iter().flat_map(|key| key.formulas()).collect();
    sight(&[], &[], &[]).look(key, &whole, reading);
    sight(&[], &[], &ACCEPTED).look(formulas_of(&recipe.accepted), &whole, reading);
    if let Some(page) = &recipe.status {
        sight(&[], &[], &JOB_FACTS).look(formulas_of(&page.answer), &whole, reading);
    }
    for answer in recipe.errors.values() {
        sight(&[], &["problem"], &[]).look(formulas_of(answer), &whole, reading);
    }
}

fn formulas_of(answer: &Answer) -> Vec<&Formula> {
    answer.body.as_ref().map(Template::formulas).unwrap_or_default()
}

impl Sight<'_> {
    fn look(&self, formulas: Vec<&Formula>, span: &Range<usize>, reading: &mut Reading<'_>) {
        let mut told = BTreeSet::new();
        for formula in formulas {
            for reference in formula.references() {
                if let Err((message, hint)) = self.knows(&reference)
                    && told.insert(message.clone())
                {
                    let place = reading.find(formula.source(), span.start).unwrap_or_else(|| span.clone());
                    reading.complain(place, message, hint);
                }
            }
        }
    }

    fn knows(&self, reference: &str) -> Result<(), (String, Option<String>)> {
        let mut parts = reference.split('.');
        let (root, part) = (parts.next().unwrap_or_default(), parts.next());
        let unknown = |what: String, known: Vec<&str>| {
            let name = part.unwrap_or(root);
            let near = nearest(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            let list = (!known.is_empty()).then(|| format!("there are: {}", known.join(", ")));
            Err((what, near.or(list)))
        };
        let known = |known: Vec<&str>, what: &str| match part {
            Some(part) if !known.contains(&part) => unknown(format!("there is no {what} `{part}` here"), known),
            _ => Ok(()),
        };
        match root {
            "input" => known(self.recipe.input.iter().map(|field| field.name.as_str()).collect(), "field of the input"),
            "steps" => match part {
                Some(part) if !self.steps.contains(&part) && self.recipe.steps.iter().any(|step| step.name == part) => {
                    Err((
                        format!("step `{part}` has no result yet here"),
                        Some("steps run in the order of the file".into()),
                    ))
                }
                _ => known(self.steps.clone(), "step"),
            },
            "job" if !self.job.is_empty() => known(self.job.to_vec(), "fact of the job"),
            root if self.names.contains(&root) => Ok(()),
            root => {
                let mut names = vec!["input"];
                names.extend(["steps"].iter().filter(|_| !self.steps.is_empty()));
                names.extend(["job"].iter().filter(|_| !self.job.is_empty()));
                names.extend(&self.names);
                unknown(format!("there is nothing called `{root}` here"), names)
            }
        }
    }
}
