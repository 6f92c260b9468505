//! What the writer is asked to do, one file for each piece of work.

pub(crate) mod accept;
pub(crate) mod admin;
pub(crate) mod attempt;
pub(crate) mod cancel;
pub(crate) mod claim;
pub(crate) mod conversation;
pub(crate) mod delete;
pub(crate) mod delivery;
pub(crate) mod sweep;

use raincheck_store::StoreError;
use tokio::sync::oneshot;

use crate::fault::Fault;
use crate::writer::Writer;

/// A piece of work for the writer. It is run inside a transaction with others, and run again from the start if that
/// transaction has to be tried anew; so it keeps what it was asked.
pub(crate) trait Work: Send + 'static {
    /// What the caller is told.
    type Answer: Send + 'static;

    /// Whether it adds jobs, which a full disk refuses first.
    const ACCEPTS: bool = false;

    /// Does it. What was done is undone if it fails.
    fn run(&self, writer: &mut Writer<'_>) -> Result<Self::Answer, Fault>;

    /// About how many bytes it holds.
    fn bytes(&self) -> usize {
        256
    }
}

/// What a caller is told, and what it had asked: to free that is its own business, not the writer's.
pub(crate) type Answered<W> = (Result<<W as Work>::Answer, StoreError>, W);

/// A piece of work and the caller who waits for it.
pub(crate) struct Call<W: Work> {
    pub(crate) work: W,
    pub(crate) bytes: usize,
    pub(crate) result: Option<Result<W::Answer, StoreError>>,
    pub(crate) caller: oneshot::Sender<Answered<W>>,
}

/// A [`Call`] whatever it asks for.
pub(crate) trait AnyCall: Send {
    /// Runs it in the current transaction.
    fn run(&mut self, writer: &mut Writer<'_>) -> Result<(), Fault>;

    /// Settles that it is not done, and why.
    fn refuse(&mut self, error: StoreError);

    /// Whether it is settled that it is not done.
    fn is_refused(&self) -> bool;

    /// See [`Work::ACCEPTS`].
    fn accepts(&self) -> bool;

    /// See [`Work::bytes`].
    fn bytes(&self) -> usize;

    /// Tells the caller.
    fn answer(self: Box<Self>);
}

impl<W: Work> AnyCall for Call<W> {
    fn run(&mut self, writer: &mut Writer<'_>) -> Result<(), Fault> {
        self.result = Some(Ok(self.work.run(writer)?));
        Ok(())
    }

    fn refuse(&mut self, error: StoreError) {
        self.result = Some(Err(error));
    }

    fn is_refused(&self) -> bool {
        matches!(self.result, Some(Err(_)))
    }

    fn accepts(&self) -> bool {
        W::ACCEPTS
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn answer(self: Box<Self>) {
        // A caller that has gone away does not care.
        let Self { work, result, caller, .. } = *self;
        let _ = caller.send((result.unwrap_or(Err(StoreError::Stopped)), work));
    }
}
