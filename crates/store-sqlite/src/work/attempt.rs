use raincheck_core::{Command, Ending, FollowUp, Life, Note, Refusal, State, Time, completes};
use raincheck_store::{Append, Beat, Beaten, FOLLOW_UPS_MAX, Finish, NewJob, followed_up};

use crate::fault::Fault;
use crate::table::accepted::Texts;
use crate::work::Work;
use crate::work::accept::Accepted;
use crate::writer::Writer;

/// Renews leases.
pub(crate) struct Heartbeat {
    pub(crate) beats: Vec<Beat>,
    pub(crate) now: Time,
}

impl Work for Heartbeat {
    type Answer = Vec<Result<Beaten, Refusal>>;

    fn run(&self, writer: &mut Writer<'_>) -> Result<Self::Answer, Fault> {
        let beat = |beat: &Beat| {
            let command = Command::Heartbeat { fence: beat.fence, until: beat.until };
            let life = writer.command(beat.job, command, self.now)?;
            Ok(life.map(|life| Beaten { cancel_requested: life.cancel_requested }))
        };
        self.beats.iter().map(beat).collect()
    }

    fn bytes(&self) -> usize {
        self.beats.len() * 64
    }
}

/// Adds to the logs of running attempts.
pub(crate) struct AppendNotes {
    pub(crate) appends: Vec<Append>,
    pub(crate) now: Time,
}

impl Work for AppendNotes {
    type Answer = Vec<Result<u64, Refusal>>;

    fn run(&self, writer: &mut Writer<'_>) -> Result<Self::Answer, Fault> {
        let append = |append: &Append| {
            let known = append.after.map_or(Ok(0), |after| writer.noted(append.job.key(), after))?;
            let notes = append.notes.iter().skip(known).cloned().collect();
            let command = Command::Append { fence: append.fence, notes };
            Ok(writer.command(append.job, command, self.now)?.map(|life| life.last_seq))
        };
        self.appends.iter().map(append).collect()
    }

    fn bytes(&self) -> usize {
        self.appends.iter().map(|append| 128 + bytes_of(&append.notes)).sum()
    }
}

/// Ends attempts.
pub(crate) struct FinishAttempts {
    pub(crate) finishes: Vec<Finish>,
    pub(crate) now: Time,
}

impl Work for FinishAttempts {
    type Answer = Vec<Result<Life, Refusal>>;

    fn run(&self, writer: &mut Writer<'_>) -> Result<Self::Answer, Fault> {
        self.finishes.iter().map(|finish| writer.finish(finish, self.now)).collect()
    }

    fn bytes(&self) -> usize {
        let ending = |ending: &Ending| match ending {
            Ending::Completed(result) => result.as_str().len(),
            Ending::Failed { problem, .. } => problem.detail.len(),
            Ending::Cancelled | Ending::Expired | Ending::Released => 0,
        };
        let bytes = |finish: &Finish| 256 + bytes_of(&finish.notes) + ending(&finish.ending) + finish.besides.bytes();
        self.finishes.iter().map(bytes).sum()
    }
}

impl Writer<'_> {
    /// Ends an attempt; what it asks for besides is done first, so that its log says what became of it before it ends.
    fn finish(&mut self, finish: &Finish, now: Time) -> Result<Result<Life, Refusal>, Fault> {
        let Finish { job, fence, mut notes, ending, dice, besides } = finish.clone();
        let running = self.memory.running(job.key()).filter(|hot| hot.id == job);
        let owner = running.filter(|_| !besides.summaries.is_empty()).map(|hot| hot.line.tenant.clone());
        if running.is_some_and(|hot| completes(&hot.life, fence, &ending)) {
            for new in besides.follow_ups.iter().take(FOLLOW_UPS_MAX) {
                notes.push(Note::FollowUp(self.follow_up(new, now)?));
            }
        }
        self.reply = besides.reply;
        let life = self.command(job, Command::Finish { fence, notes, ending, dice }, now);
        self.reply = None;
        let life = life?;
        if let (Some(tenant), true) = (owner, life.as_ref().is_ok_and(|life| life.state == State::Completed)) {
            self.summarize(&besides.summaries, &tenant, now)?;
        }
        Ok(life)
    }

    fn follow_up(&mut self, new: &NewJob, now: Time) -> Result<FollowUp, Fault> {
        let kind = new.spec.kind.clone();
        let accepted = if self.has_names_for(std::iter::once(&*new.spec)) {
            self.accept(new, &Texts::of(&new.spec), now)?
        } else {
            Accepted::NoMoreNames
        };
        Ok(followed_up(kind, &accepted.into_acceptance(&self.numbers.names())))
    }
}

fn bytes_of(notes: &[Note]) -> usize {
    let note = |note: &Note| match note {
        Note::Progress(progress) => progress.message.len(),
        Note::Output(output) => output.as_str().len(),
        Note::Step(step) => step.name.len() + step.result.as_str().len(),
        Note::FollowUp(_) => 256,
    };
    notes.iter().map(|of| 128 + note(of)).sum()
}
