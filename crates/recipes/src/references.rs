use std::collections::BTreeSet;
use std::ops::Range;

use crate::read::Reading;
use crate::scope::JOB_FACTS;
use crate::template::Formula;
use crate::{Check, Field, FieldType, FollowUp, PageKind, Recipe, nearest};

/// What expressions at one place may refer to.
struct Sight<'r> {
    recipe: &'r Recipe,
    /// The steps whose results are there.
    steps: Vec<&'r str>,
    /// Other names.
    names: Vec<&'static str>,
    /// What may be read of the job there.
    job: &'static [&'static str],
    /// Whether links to files are made there: whatever is kept would keep a link that has expired.
    links: bool,
}

/// What an accepted job is known by.
const ACCEPTED: [&str; 4] = ["id", "uuid", "state", "created_at"];

/// What is known of a file.
const FILE_FACTS: [&str; 4] = ["id", "filename", "bytes", "sha256"];
/// What is known of why a step failed.
const ERROR_FACTS: [&str; 3] = ["name", "detail", "retry_at"];
/// What is known of why a request was refused.
const PROBLEM_FACTS: [&str; 5] = ["name", "title", "status", "detail", "pointer"];

/// Looks whether every expression refers to what is there when it is computed.
pub(crate) fn check(recipe: &Recipe, reading: &mut Reading<'_>) {
    let mut seen: Vec<&str> = Vec::new();
    let talk: Vec<&'static str> = recipe.conversation.iter().map(|_| "conversation").collect();
    for step in &recipe.steps {
        let steps: Vec<&str> = step.needs.iter().map(|at| recipe.steps[*at].name.as_str()).collect();
        let mut names = if step.for_each.is_some() { vec!["item", "index"] } else { Vec::new() };
        names.extend(&talk);
        if let Some((name, what)) = step.for_each.as_ref().and_then(|list| no_list(recipe, list)) {
            let place = reading.find(&name, step.span.start).unwrap_or_else(|| step.span.clone());
            reading.complain(place, format!("`for_each` takes a list, and `{name}` is {what}"), None);
        }
        let sight = Sight { recipe, steps, names, job: &ACCEPTED, links: false };
        sight.look(step.formulas(), &step.span, reading);
        let sight = Sight { names: [sight.names, vec!["error"]].concat(), ..sight };
        sight.look(step.formulas_on_error(), &step.span, reading);
        seen.push(&step.name);
    }
    let sight = |steps: &[&'static str], names: &[&'static str], job| Sight {
        recipe,
        steps: steps.to_vec(),
        names: names.to_vec(),
        job,
        links: false,
    };
    let answer = |names: &[&'static str], job| Sight { links: true, ..sight(&[], names, job) };
    let whole = 0..0;
    let names = [vec!["degraded"], talk.clone()].concat();
    let after = Sight { recipe, steps: seen, names, job: &ACCEPTED, links: false };
    after.look(recipe.require.iter().flat_map(|require| require.formulas()).collect(), &whole, reading);
    after.look(recipe.result.iter().flat_map(|result| result.formulas()).collect(), &whole, reading);
    let with_result = Sight { names: [after.names.clone(), vec!["result"]].concat(), ..after };
    with_result.look(recipe.follow_ups.iter().flat_map(FollowUp::formulas).collect(), &whole, reading);
    if let Some(conversation) = &recipe.conversation {
        with_result.look(conversation.formulas_after(), &whole, reading);
        sight(&[], &[], &[]).look(conversation.formulas_before(), &whole, reading);
    }
    sight(&[], &[], &[]).look(recipe.job.formulas(), &whole, reading);
    sight(&[], &[], &[]).look(recipe.checks.iter().flat_map(Check::formulas).collect(), &whole, reading);
    answer(&talk, &ACCEPTED).look(recipe.accepted.formulas(), &whole, reading);
    for (kind, page) in &recipe.pages {
        let (sight, of_item) = match kind {
            PageKind::List => (answer(&["jobs"], &[]), answer(&talk, &JOB_FACTS)),
            PageKind::Messages => (answer(&["conversation"], &[]), answer(&["message"], &[])),
            PageKind::Delete => (sight(&[], &["conversation"], &[]), sight(&[], &["message"], &[])),
            PageKind::Status | PageKind::Cancel => (answer(&talk, &JOB_FACTS), answer(&[], &[])),
        };
        sight.look(page.answer.formulas(), &whole, reading);
        of_item.look(page.item.iter().chain(&page.files).flat_map(|item| item.formulas()).collect(), &whole, reading);
    }
    for answer in recipe.errors.values() {
        sight(&[], &["problem"], &[]).look(answer.formulas(), &whole, reading);
    }
}

/// A field of the input that stands where a list should, and what it is instead.
fn no_list(recipe: &Recipe, list: &Formula) -> Option<(String, &'static str)> {
    let name = list.source().trim();
    let field = recipe.input.iter().find(|field| name.strip_prefix("input.") == Some(&field.name))?;
    let is_list = matches!(field.holds, FieldType::List(..) | FieldType::Any);
    (!is_list).then(|| (name.to_owned(), sort(field)))
}

/// What a field holds, in words.
fn sort(field: &Field) -> &'static str {
    match field.holds {
        FieldType::String(..) => "a string",
        FieldType::Integer(..) => "an integer",
        FieldType::Number(..) => "a number",
        FieldType::Boolean => "a boolean",
        FieldType::List(..) => "a list",
        FieldType::Table => "a table",
        FieldType::File(_) => "a file",
        FieldType::Any => "anything",
    }
}

impl Sight<'_> {
    fn look(&self, formulas: Vec<&Formula>, span: &Range<usize>, reading: &mut Reading<'_>) {
        let mut told = BTreeSet::new();
        for formula in formulas {
            if !self.links && formula.makes_links() {
                let place = reading.find(formula.source(), span.start).unwrap_or_else(|| span.clone());
                let hint = "keep the file's id, and make its link in an answer".to_owned();
                reading.complain(place, "links expire, and are made only in answers".to_owned(), Some(hint));
            }
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
        let (root, part, of_part) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let unknown = |name: &str, what: String, known: Vec<&str>| {
            let near = nearest(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            let list = (!known.is_empty()).then(|| format!("there are: {}", known.join(", ")));
            Err((what, near.or(list)))
        };
        let known = |known: Vec<&str>, what: &str| match part {
            Some(part) if !known.contains(&part) => unknown(part, format!("there is no {what} `{part}` here"), known),
            _ => Ok(()),
        };
        let field = || self.recipe.input.iter().find(|field| Some(&*field.name) == part);
        match root {
            "input" if let Some((field, of)) = field().zip(of_part) => match field.holds {
                FieldType::Table | FieldType::Any => Ok(()),
                FieldType::File(_) if FILE_FACTS.contains(&of) => Ok(()),
                FieldType::File(_) => unknown(of, format!("there is no fact of a file `{of}`"), FILE_FACTS.to_vec()),
                _ => unknown(of, format!("`input.{}` is {} and has no `{of}`", field.name, sort(field)), Vec::new()),
            },
            "error" if self.names.contains(&"error") => known(ERROR_FACTS.to_vec(), "fact of the error"),
            "problem" if self.names.contains(&"problem") => known(PROBLEM_FACTS.to_vec(), "fact of the problem"),
            "input" => known(self.recipe.input.iter().map(|field| field.name.as_str()).collect(), "field of the input"),
            "steps" => match part {
                Some(part) if !self.steps.contains(&part) && self.recipe.steps.iter().any(|step| step.name == part) => {
                    let hint = "a step sees those above it, or those that it needs, if it says so";
                    Err((format!("step `{part}` has no result yet here"), Some(hint.into())))
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
                unknown(root, format!("there is nothing called `{root}` here"), names)
            }
        }
    }
}
