use raincheck_core::{Job, JobId, Outcome};
use raincheck_engine::LogReader;
use raincheck_store::StoreError;
use serde::de::DeserializeOwned;

use crate::{JobError, Raincheck};

/// After the last event of any log.
const END_OF_LOG: u64 = i64::MAX.unsigned_abs();

/// A job, to be waited for, followed or cancelled. Dropping it changes nothing: the job goes on, and [`Raincheck::job`] finds
/// it by its id, in this life of the program or a later one.
#[derive(Clone, Debug)]
pub struct JobHandle {
    raincheck: Raincheck,
    id: JobId,
    is_new: bool,
}

impl JobHandle {
    pub(crate) fn new(raincheck: Raincheck, id: JobId, is_new: bool) -> Self {
        Self { raincheck, id, is_new }
    }

    /// Its name, by which it is found again.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Whether it was accepted just now, and not before under the same idempotency key.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// The job as it is now; `None` if it was forgotten, or never was.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn get(&self) -> Result<Option<Job>, StoreError> {
        self.raincheck.engine().get(self.id, None).await
    }

    /// Waits until the job has ended, however long that takes, and gives its result. Whoever does not want to wait so long
    /// drops the future (`tokio::time::timeout`); the job goes on, and the result can be asked for again.
    ///
    /// # Errors
    /// If it ended otherwise than with a result of this type, or Raincheck stopped first.
    pub async fn result<T: DeserializeOwned>(&self) -> Result<T, JobError> {
        match self.ended().await?.outcome {
            Some(Outcome::Completed(result)) => result.parse().map_err(JobError::OtherType),
            Some(Outcome::Failed(problem)) => Err(JobError::Failed(problem)),
            Some(Outcome::Cancelled(reason)) => Err(JobError::Cancelled(reason)),
            Some(Outcome::Expired) => Err(JobError::Expired),
            None => Err(JobError::Forgotten),
        }
    }

    /// The job once it has ended.
    async fn ended(&self) -> Result<Job, JobError> {
        let reader = self.raincheck.engine().follow(self.id, None, END_OF_LOG).await?;
        let mut reader = reader.ok_or(JobError::Forgotten)?;
        let read = loop {
            match reader.next().await {
                Ok(events) if events.is_empty() => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        match (read, self.get().await) {
            (Ok(()), job) => job?.ok_or(JobError::Forgotten),
            // It may have ended at the last moment.
            (Err(_), Ok(Some(job))) if job.life.state.is_final() => Ok(job),
            (Err(StoreError::Stopped), _) => Err(JobError::Stopped(self.id)),
            (Err(error), _) => Err(error.into()),
        }
    }

    /// Reads the job's log from after event number `after` (0 for all of it), and on as it grows: progress, output, steps,
    /// attempts, and last how it ended.
    ///
    /// # Errors
    /// If there is no such job, or the store cannot be read.
    pub async fn follow(&self, after: u64) -> Result<LogReader, JobError> {
        self.raincheck.engine().follow(self.id, None, after).await?.ok_or(JobError::Forgotten)
    }

    /// Ends the job if it waits, asks its attempt to stop if it runs, and leaves it as it is if it has ended. The reason
    /// stands in its log.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn cancel(&self, reason: impl Into<String>) -> Result<(), StoreError> {
        self.raincheck.engine().cancel(self.id, None, Some(reason.into())).await.map(drop)
    }
}
