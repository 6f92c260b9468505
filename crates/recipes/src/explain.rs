use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::{FieldType, OnError, Recipe, Source, Step, duration};

/// A recipe in words, for people.
#[must_use]
pub fn explain(recipe: &Recipe) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}  {}", recipe.name, recipe.summary);
    let public = if recipe.route.public { "  without a key" } else { "" };
    let _ = writeln!(text, "\n  {} {}{public}", recipe.route.method.as_str(), recipe.route.path);
    for (kind, page) in &recipe.pages {
        let _ = writeln!(text, "  {} {}  {}", page.method.as_str(), page.path, kind.summary());
    }
    if !recipe.input.is_empty() {
        let _ = writeln!(text, "\n  takes");
    }
    let width = recipe.input.iter().map(|field| field.name.len()).max().unwrap_or(0);
    for field in &recipe.input {
        let place = match field.source {
            Source::Path => ", in the path",
            Source::Query => ", in the query",
            Source::Body => "",
        };
        let default = match &field.default {
            Some(serde_json::Value::Null) => ", may be left out".to_owned(),
            Some(value) => format!(", {value} if left out"),
            None => String::new(),
        };
        let types = match &field.pictures[..] {
            [] => String::new(),
            pictures => format!(": {}", pictures.iter().map(|one| one.media_type()).collect::<Vec<_>>().join(", ")),
        };
        let _ = writeln!(text, "    {:width$}  {}{types}{place}{default}", field.name, bounds(field.holds));
    }
    for check in &recipe.checks {
        let _ = writeln!(text, "    refused unless {}", check.require.that.source());
    }
    let _ = writeln!(text, "\n  does");
    for (number, step) in (1..).zip(&recipe.steps) {
        let _ = writeln!(text, "    {number}. {}  {}{}", step.name, step.call.kind, remarks(recipe, step, number - 1));
    }
    for follow_up in &recipe.follow_ups {
        let condition = follow_up.condition.as_ref().map(|condition| format!(" if {}", condition.source()));
        let _ = writeln!(text, "    then {}{}", follow_up.recipe, condition.unwrap_or_default());
    }
    text
}

fn bounds(holds: FieldType) -> String {
    let name = holds.as_str();
    match holds {
        FieldType::String(min, max) => format!("{name} of {min} to {max} characters"),
        FieldType::List(min, max) => format!("{name} of {min} to {max} items"),
        FieldType::Integer(min, max) | FieldType::Number(min, max) if min > i64::MIN || max < i64::MAX => {
            format!("{name} from {min} to {max}")
        }
        FieldType::File(max) => format!("{name} of up to {max} bytes"),
        _ => name.to_owned(),
    }
}

fn remarks(recipe: &Recipe, step: &Step, number: usize) -> String {
    let mut remarks = String::new();
    if step.needs.len() < number {
        let _ = write!(remarks, "\n         {}", after(recipe, step));
    }
    if let Some(condition) = &step.condition {
        let _ = write!(remarks, "\n         if {}", condition.source());
    }
    if let Some(list) = &step.for_each {
        let _ = write!(remarks, "\n         for each of {}, {} at once", list.source(), step.concurrency);
    }
    let tries = [
        step.timeout.map(|longest| format!("a try takes {} at most", duration::show(longest))),
        step.max_attempts.map(|most| format!("tried {most} times at most")),
        step.deadline.map(|longest| format!("given up after {}", duration::show(longest))),
    ];
    tries.into_iter().flatten().for_each(|remark| {
        let _ = write!(remarks, "\n         {remark}");
    });
    let instead = step.on_error.as_ref().map(|on_error| match on_error {
        OnError::Use(_) => "a fixed answer".to_owned(),
        OnError::Do(call) => call.kind.to_string(),
    });
    if let Some(instead) = instead {
        let _ = write!(remarks, "\n         if it fails: {instead}, and the job is degraded");
    }
    remarks
}

/// The steps that a step waits for, if those are not all above it.
fn after(recipe: &Recipe, step: &Step) -> String {
    let names: Vec<&str> = step.needs.iter().map(|at| recipe.steps[*at].name.as_str()).collect();
    if names.is_empty() { "begins at once".to_owned() } else { format!("begins after {}", names.join(", ")) }
}

/// A recipe's steps as a Mermaid flowchart.
#[must_use]
pub fn mermaid(recipe: &Recipe) -> String {
    let mut text = format!("flowchart TD\n    request([\"{} {}\"])\n", recipe.route.method.as_str(), recipe.route.path);
    for (number, step) in recipe.steps.iter().enumerate() {
        let node = format!("step{}", number + 1);
        let _ = writeln!(text, "    {node}[\"{}<br/>{}\"]", step.name, step.call.kind);
        let label = match (&step.condition, &step.for_each) {
            (Some(condition), _) => format!("|\"if {}\"|", quoted(condition.source())),
            (None, Some(list)) => format!("|\"each of {}\"|", quoted(list.source())),
            (None, None) => String::new(),
        };
        let before = direct(recipe, &step.needs);
        if before.is_empty() {
            let _ = writeln!(text, "    request -->{label} {node}");
        }
        for at in before {
            let _ = writeln!(text, "    step{} -->{label} {node}", at + 1);
        }
    }
    for at in direct(recipe, &(0..recipe.steps.len()).collect()) {
        let _ = writeln!(text, "    step{} --> result([result])", at + 1);
    }
    text
}

/// Those of the steps that none of the others waits for: the rest follows from them.
fn direct(recipe: &Recipe, needs: &BTreeSet<usize>) -> Vec<usize> {
    let is_needed = |at: &usize| needs.iter().any(|other| recipe.steps[*other].needs.contains(at));
    needs.iter().filter(|at| !is_needed(at)).copied().collect()
}

fn quoted(text: &str) -> String {
    text.replace('"', "#quot;")
}
