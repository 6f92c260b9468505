use crate::Template;
use crate::read::Entries;
use crate::read::Reading;
use crate::template::Formula;

/// The conversation that the jobs of a recipe belong to.
#[derive(Debug)]
pub struct Conversation {
    /// Which; a new one is begun if that comes to nothing.
    pub id: Template,
    /// What the caller says in it. Its jobs are run one at a time then, in the order in which they came. Without it the
    /// conversation is only read.
    pub message: Option<Template>,
    /// What is kept as the answer; the result of the job if the recipe does not say.
    pub answer: Option<Template>,
    /// What is kept as the summary of all that was said so far.
    pub summary: Option<Template>,
    /// The number of the last message that is read, if it is not the last there is.
    pub up_to: Option<Template>,
}

impl Conversation {
    pub(crate) fn read<'t>(mut entries: Entries<'t>, reading: &mut Reading<'t>) -> Option<Self> {
        let span = entries.span();
        let id = entries.template("id", reading);
        let message = entries.template("message", reading);
        let answer = entries.template("answer", reading);
        let summary = entries.template("summary", reading);
        let up_to = entries.template("up_to", reading);
        entries.finish(reading);
        if answer.is_some() && message.is_none() {
            let hint = Some("such as message = \"{{ input.question }}\"".to_owned());
            reading.complain(
                span.clone(),
                "[conversation] has an `answer`, but no `message` that it answers".to_owned(),
                hint,
            );
        }
        if id.is_none() {
            let hint = Some("such as id = \"{{ input.conversation_id }}\"".to_owned());
            reading.complain(span, "[conversation] does not say its `id`".to_owned(), hint);
        }
        Some(Self { id: id?, message, answer, summary, up_to })
    }

    /// What is computed before there is a job.
    pub(crate) fn formulas_before(&self) -> Vec<&Formula> {
        self.id
            .formulas()
            .into_iter()
            .chain(self.message.iter().chain(&self.up_to).flat_map(Template::formulas))
            .collect()
    }

    /// What is computed of the result.
    pub(crate) fn formulas_after(&self) -> Vec<&Formula> {
        self.answer.iter().chain(&self.summary).flat_map(Template::formulas).collect()
    }
}
