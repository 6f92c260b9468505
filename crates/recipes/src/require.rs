use crate::read::{Entries, Reading};
use crate::step::formula;
use crate::template::Formula;
use crate::{Scope, Template, TemplateError};

/// What must hold: of a recipe once every step has ended, or the job has failed; of an input before there is a job, or it is
/// refused.
#[derive(Debug)]
pub struct Require {
    /// What must hold.
    pub that: Formula,
    /// What is told if it does not.
    pub otherwise: Template,
}

impl Require {
    /// Of a recipe.
    pub(crate) fn read<'t>(mut entries: Entries<'t>, reading: &mut Reading<'t>) -> Option<Self> {
        let require = Self::of("[require]", &mut entries, reading);
        entries.finish(reading);
        require
    }

    pub(crate) fn of<'t>(title: &str, entries: &mut Entries<'t>, reading: &mut Reading<'t>) -> Option<Self> {
        let span = entries.span();
        let that = entries.text("that", reading).and_then(|text| formula(&text, reading));
        let otherwise = entries.template("otherwise", reading);
        if that.is_none() || otherwise.is_none() {
            let hint = Some("such as that = \"steps.score > 0\" and otherwise = \"there is no score\"".to_owned());
            reading.complain(span, format!("{title} says what must hold, and what is told otherwise"), hint);
        }
        Some(Self { that: that?, otherwise: otherwise? })
    }

    /// What is told if it does not hold; nothing if it does.
    ///
    /// # Errors
    /// If that cannot be said, given what there is.
    pub fn broken(&self, scope: &Scope) -> Result<Option<String>, TemplateError> {
        if self.that.holds(scope)? {
            return Ok(None);
        }
        let told = self.otherwise.render(scope)?;
        Ok(Some(told.as_str().map_or_else(|| told.to_string(), ToOwned::to_owned)))
    }

    pub(crate) fn formulas(&self) -> Vec<&Formula> {
        std::iter::once(&self.that).chain(self.otherwise.formulas()).collect()
    }
}
