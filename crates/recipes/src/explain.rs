use std::fmt::Write as _;

use crate::{FieldType, OnError, Recipe, Source, Step};

/// A recipe in words, for people.
#[must_use]
pub fn explain(recipe: &Recipe) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}  {}", recipe.name, recipe.summary);
    let public = if recipe.route.public { "  without a key" } else { "" };
    let _ = writeln!(text, "\n  {} {}{public}", recipe.route.method.as_str(), recipe.route.path);
    if let Some(page) = &recipe.status {
        let _ = writeln!(text, "  GET {}  how far a job is", page.path);
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
        let _ = writeln!(text, "    {:width$}  {}{place}{default}", field.name, bounds(field.holds));
    }
    let _ = writeln!(text, "\n  does");
    for (number, step) in (1..).zip(&recipe.steps) {
        let _ = writeln!(text, "    {number}. {}  {}{}", step.name, step.kind, remarks(step));
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
        _ => name.to_owned(),
    }
}

fn remarks(step: &Step) -> String {
    let mut remarks = String::new();
    if let Some(condition) = &step.condition {
        let _ = write!(remarks, "\n         if {}", condition.source());
    }
    if let Some(list) = &step.for_each {
        let _ = write!(remarks, "\n         for each of {}, {} at once", list.source(), step.concurrency);
    }
    if let Some(OnError::Use(_)) = &step.on_error {
        let _ = write!(remarks, "\n         if it fails, a fixed answer, and the job is degraded");
    }
    remarks
}

/// A recipe's steps as a Mermaid flowchart.
#[must_use]
pub fn mermaid(recipe: &Recipe) -> String {
    let mut text = format!("flowchart TD\n    request([\"{} {}\"])\n", recipe.route.method.as_str(), recipe.route.path);
    let mut before = "request".to_owned();
    for (number, step) in (1..).zip(&recipe.steps) {
        let node = format!("step{number}");
        let _ = writeln!(text, "    {node}[\"{}<br/>{}\"]", step.name, step.kind);
        let label = match (&step.condition, &step.for_each) {
            (Some(condition), _) => format!("|\"if {}\"|", quoted(condition.source())),
            (None, Some(list)) => format!("|\"each of {}\"|", quoted(list.source())),
            (None, None) => String::new(),
        };
        let _ = writeln!(text, "    {before} -->{label} {node}");
        before = node;
    }
    let _ = writeln!(text, "    {before} --> result([result])");
    text
}

fn quoted(text: &str) -> String {
    text.replace('"', "#quot;")
}
