use std::fmt;

use crate::Line;

/// Something wrong with a recipe: where, what, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, and the part of it.
    pub line: Line,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.line.point(f, &self.message, self.hint.as_deref())
    }
}
