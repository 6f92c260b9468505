//! The language of recipes: a TOML file that makes one slow endpoint, with its route, its input, its steps and its answers.
//!
//! A recipe is read whole or not at all: everything that is wrong with it is told at once, each mistake with its line, what was
//! expected and the nearest right spelling. What has been read is a value that others run: this crate opens no file, knows no
//! engine and no HTTP server, and evaluates nothing but the expressions between `{{` and `}}`.
//!
//! ```text
//! text ─► Recipe::read ─► Recipe ─► Recipe::collect(sent)          what a caller sent
//!                              ├──► Template::render(scope)       what steps are given, what answers say
//!                              └──► explain, mermaid              for people
//! ```

mod answer;
mod asset;
mod book;
mod check;
mod conversation;
pub mod duration;
mod explain;
mod filters;
mod follow_up;
mod given;
mod input;
mod line;
mod mistake;
mod nearest;
mod options;
mod read;
mod recipe;
mod record;
mod references;
mod require;
mod route;
mod scope;
mod step;
mod template;
mod words;

pub use answer::{Answer, Page, PageKind};
pub use asset::Asset;
pub use book::{Book, Found};
pub use check::Check;
pub use conversation::Conversation;
pub use explain::{explain, mermaid};
pub use follow_up::FollowUp;
pub use input::{Field, FieldType, Misfit, Sent, Source};
pub use line::Line;
pub use mistake::Mistake;
pub use nearest::nearest;
pub use options::{Chosen, JobOptions};
pub use recipe::{RECIPE_MAX, Recipe};
pub use record::{BEGAN, Began, Ended, FAILED, How, Stands, StepFacts, Usage};
pub use require::Require;
pub use route::{Method, Path, Route, Segment};
pub use scope::{JobFacts, LinkTo, Scope};
pub use step::{Call, OnError, Step};
pub use template::{Formula, Piece, Template, TemplateError};

/// The JSON Schema of recipes, for editors.
pub const SCHEMA: &str = include_str!("schema.json");
