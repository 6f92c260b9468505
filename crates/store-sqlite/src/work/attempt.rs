use raincheck_core::{Command, Ending, Life, Note, Refusal, Time};
use raincheck_store::{Append, Beat, Beaten, Finish};

use crate::fault::Fault;
use crate::work::Work;
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
        let finish = |finish: &Finish| {
            let Finish { job, fence, notes, ending, dice } = finish.clone();
            writer.command(job, Command::Finish { fence, notes, ending, dice }, self.now)
        };
        self.finishes.iter().map(finish).collect()
    }

    fn bytes(&self) -> usize {
        let ending = |ending: &Ending| match ending {
            Ending::Completed(result) => result.as_str().len(),
            Ending::Failed { problem, .. } => problem.detail.len(),
            Ending::Cancelled | Ending::Expired | Ending::Released => 0,
        };
        self.finishes.iter().map(|finish| 256 + bytes_of(&finish.notes) + ending(&finish.ending)).sum()
    }
}

fn bytes_of(notes: &[Note]) -> usize {
    let note = |note: &Note| match note {
        Note::Progress(progress) => progress.message.len(),
        Note::Output(output) => output.as_str().len(),
        Note::Step(step) => step.name.len() + step.result.as_str().len(),
    };
    notes.iter().map(|of| 128 + note(of)).sum()
}
