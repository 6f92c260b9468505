use toml::Spanned;
use toml::de::DeValue;

use crate::read::{Entries, Reading};
use crate::{Path, Template};

/// What a caller is answered.
#[derive(Debug)]
pub struct Answer {
    /// The status; what is usual if the recipe does not say.
    pub status: Option<u16>,
    /// The body; what is usual if the recipe does not say.
    pub body: Option<Template>,
}

/// A page on which a job can be looked at.
#[derive(Debug)]
pub struct Page {
    /// Where; one of its values names the job.
    pub path: Path,
    /// The value that names the job.
    pub job: String,
    /// What it says.
    pub answer: Answer,
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
}

impl Page {
    pub(crate) fn read<'t>(title: &str, value: Spanned<DeValue<'t>>, reading: &mut Reading<'t>) -> Option<Self> {
        let mut entries = reading.table(title.to_owned(), value)?;
        let span = entries.span();
        let path = entries.text("get", reading);
        let answer = Answer::of(&mut entries, reading);
        entries.finish(reading);
        let Some(path) = path else {
            let hint = "such as get = \"/api/status/{id}\"".to_owned();
            reading.complain(span, format!("{title} does not say where it is"), Some(hint));
            return None;
        };
        let read = match Path::read(path.get_ref()) {
            Ok(read) => read,
            Err(message) => {
                reading.complain(path.span(), message, None);
                return None;
            }
        };
        let names: Vec<&str> = read.names().collect();
        let [job] = names[..] else {
            let message = "one value of the path names the job, and there is no other".to_owned();
            reading.complain(path.span(), message, Some("such as /api/status/{id}".to_owned()));
            return None;
        };
        let job = job.to_owned();
        Some(Self { path: read, job, answer })
    }
}
