use toml::Spanned;
use toml::de::DeValue;

use crate::read::{Entries, Reading};
use crate::template::Formula;
use crate::{Method, Path, Template};

/// What a caller is answered.
#[derive(Debug, Default)]
pub struct Answer {
    /// The status code; what is usual if the recipe does not say.
    pub status: Option<u16>,
    /// The body; what is usual if the recipe does not say.
    pub body: Option<Template>,
}

/// A route beside that of the recipe.
#[derive(Debug)]
pub struct Page {
    /// By which method.
    pub method: Method,
    /// Where; one of its values names the job or conversation, if the page is of one.
    pub path: Path,
    /// What it says.
    pub answer: Answer,
    /// What a list says of each job, and a conversation of each message.
    pub item: Option<Template>,
    /// Which files of each message go with a conversation that is deleted.
    pub files: Option<Template>,
}

/// What a page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PageKind {
    /// Tells how far a job is.
    Status,
    /// Cancels a job.
    Cancel,
    /// Lists the caller's jobs, newest first.
    List,
    /// Shows a conversation.
    Messages,
    /// Deletes a conversation.
    Delete,
}

impl PageKind {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Status, Self::Cancel, Self::List, Self::Messages, Self::Delete];

    /// Its table in a recipe.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Cancel => "cancel",
            Self::List => "list",
            Self::Messages => "messages",
            Self::Delete => "delete",
        }
    }

    /// What it does, for people.
    #[must_use]
    pub fn summary(self) -> &'static str {
        match self {
            Self::Status => "tells how far a job is",
            Self::Cancel => "cancels a job",
            Self::List => "lists jobs, newest first",
            Self::Messages => "shows a conversation",
            Self::Delete => "deletes a conversation",
        }
    }

    fn methods(self) -> &'static [(&'static str, Method)] {
        match self {
            Self::Status | Self::List | Self::Messages => &[("get", Method::Get)],
            Self::Cancel => &[("post", Method::Post), ("delete", Method::Delete)],
            Self::Delete => &[("delete", Method::Delete)],
        }
    }
}

impl Answer {
    pub(crate) fn read<'t>(title: &str, value: Spanned<DeValue<'t>>, reading: &mut Reading<'t>) -> Option<Self> {
        let mut entries = reading.table(title.to_owned(), value)?;
        let answer = Self::of(&mut entries, reading);
        entries.finish(reading);
        Some(answer)
    }

    fn of<'t>(entries: &mut Entries<'t>, reading: &mut Reading<'t>) -> Self {
        let status = entries.number("status", 200..=599, reading).and_then(|status| u16::try_from(status).ok());
        Self { status, body: entries.template("body", reading) }
    }

    pub(crate) fn formulas(&self) -> Vec<&Formula> {
        self.body.as_ref().map(Template::formulas).unwrap_or_default()
    }
}

impl Page {
    pub(crate) fn read<'t>(kind: PageKind, value: Spanned<DeValue<'t>>, reading: &mut Reading<'t>) -> Option<Self> {
        let title = format!("[{}]", kind.name());
        let mut entries = reading.table(title.clone(), value)?;
        let span = entries.span();
        let mut found = Vec::new();
        for (word, method) in kind.methods() {
            found.extend(entries.text(word, reading).map(|path| (*method, path)));
        }
        let answer = Answer::of(&mut entries, reading);
        let has_items = matches!(kind, PageKind::List | PageKind::Messages);
        let item = if has_items { entries.template("item", reading) } else { None };
        let files = if kind == PageKind::Delete { entries.template("files", reading) } else { None };
        entries.finish(reading);
        let path = if kind == PageKind::List { "/api/jobs" } else { "/api/jobs/{id}" };
        let [(method, at)] = &found[..] else {
            let hint = format!("such as {} = \"{path}\"", kind.methods()[0].0);
            reading.complain(span, format!("{title} has one method with its path"), Some(hint));
            return None;
        };
        let read = Path::read(at.get_ref()).map_err(|message| reading.complain(at.span(), message, None)).ok()?;
        let named = read.names().count();
        if kind == PageKind::List && named > 0 {
            reading.complain(at.span(), "the path of a list has no values".to_owned(), Some(format!("such as {path}")));
            return None;
        }
        if kind != PageKind::List && named != 1 {
            let of_talk = matches!(kind, PageKind::Messages | PageKind::Delete);
            let what = if of_talk { "conversation" } else { "job" };
            let message = format!("one value of the path names the {what}, and there is no other");
            reading.complain(at.span(), message, Some(format!("such as {path}")));
            return None;
        }
        Some(Self { method: *method, path: read, answer, item, files })
    }
}
