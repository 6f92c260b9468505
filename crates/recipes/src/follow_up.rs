use std::ops::Range;

use serde_json::Value;

use crate::read::{Entry, Reading};
use crate::step::formula;
use crate::template::Formula;
use crate::{Scope, Template, TemplateError};

/// A job of another recipe that is begun when a job has completed, so that nobody waits for what it does.
#[derive(Debug)]
pub struct FollowUp {
    /// Its name.
    pub name: String,
    /// The recipe.
    pub recipe: String,
    /// What it is given.
    pub input: Template,
    /// It is begun only if this holds.
    pub condition: Option<Formula>,
    /// Where the recipe stands in the file.
    pub(crate) span: Range<usize>,
}

impl FollowUp {
    pub(crate) fn read<'t>(entry: Entry<'t>, reading: &mut Reading<'t>) -> Option<Self> {
        let (name, span, value) = entry.named(reading)?;
        let title = format!("[follow_ups.{name}]");
        let mut entries = reading.table(title.clone(), value)?;
        let recipe = entries.text("recipe", reading);
        let input = entries.template("input", reading).unwrap_or(Template::Fixed(Value::Null));
        let condition = entries.text("if", reading).and_then(|text| formula(&text, reading));
        entries.finish(reading);
        let Some(recipe) = recipe else {
            let hint = Some("such as recipe = \"course.summary\"".to_owned());
            reading.complain(span, format!("{title} does not say its `recipe`"), hint);
            return None;
        };
        let span = recipe.span();
        Some(Self { name, recipe: recipe.into_inner(), input, condition, span })
    }

    /// Whether it is begun.
    ///
    /// # Errors
    /// If that cannot be said, given what there is.
    pub fn applies(&self, scope: &Scope) -> Result<bool, TemplateError> {
        self.condition.as_ref().map_or(Ok(true), |condition| condition.holds(scope))
    }

    pub(crate) fn formulas(&self) -> Vec<&Formula> {
        self.condition.iter().chain(self.input.formulas()).collect()
    }
}
