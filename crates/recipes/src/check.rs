use serde_json::Value;
use toml::Spanned;

use crate::read::{Entry, Reading};
use crate::template::Formula;
use crate::{Misfit, Require, Scope, nearest};

/// What must hold of an input as a whole, where each of its fields may be right by itself.
#[derive(Debug)]
pub struct Check {
    /// What must hold, and what is told otherwise.
    pub require: Require,
    /// The field that is to blame, if one is.
    pub field: Option<String>,
}

impl Check {
    pub(crate) fn read<'t>(entry: Entry<'t>, fields: &[&str], reading: &mut Reading<'t>) -> Option<Self> {
        let title = format!("[checks.{}]", entry.name.get_ref());
        let mut entries = reading.table(title.clone(), entry.value)?;
        let require = Require::of(&title, &mut entries, reading);
        let field = entries.text("field", reading);
        entries.finish(reading);
        if let Some(unknown) = field.as_ref().filter(|field| !fields.contains(&field.get_ref().as_str())) {
            let near = nearest(unknown.get_ref(), fields.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            let message = format!("`field`: there is no field `{}` of the input", unknown.get_ref());
            reading.complain(unknown.span(), message, near);
        }
        Some(Self { require: require?, field: field.map(Spanned::into_inner) })
    }

    /// What is wrong with an input, if anything is.
    #[must_use]
    pub fn misfit(&self, input: &Value) -> Option<Misfit> {
        let detail = match self.require.broken(&Scope::of_input(input)) {
            Ok(told) => told?,
            Err(error) => error.to_string(),
        };
        let pointer = self.field.as_ref().map(|field| format!("/{field}")).unwrap_or_default();
        Some(Misfit { pointer, detail })
    }

    pub(crate) fn formulas(&self) -> Vec<&Formula> {
        self.require.formulas()
    }
}
