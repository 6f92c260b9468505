use std::sync::Arc;

use raincheck_core::{Command, Decision, Job, JobKey, Json, Life, State, Time, decide};
use raincheck_store::{ClaimRequest, Claimed, Claims, StoreError};

use crate::fault::{Fault, unreadable};
use crate::hot::Hot;
use crate::names::Names;
use crate::table::accepted::Request;
use crate::table::event;
use crate::table::live::LiveJob;
use crate::work::Work;
use crate::writer::Writer;

/// Leases jobs to a worker.
pub(crate) struct Claim {
    pub(crate) request: ClaimRequest,
    pub(crate) now: Time,
}

/// What was leased, as the rows hold it: the caller makes jobs of it.
pub(crate) struct Leased {
    jobs: Vec<LeasedJob>,
    next_due: Option<Time>,
}

struct LeasedJob {
    request: Request,
    life: Life,
    input: String,
    steps: Vec<String>,
}

impl Leased {
    pub(crate) fn into_claims(self, names: &Names) -> Result<Claims, StoreError> {
        let jobs: Result<Vec<Claimed>, StoreError> = self.jobs.into_iter().map(|job| job.into_claimed(names)).collect();
        Ok(Claims { jobs: jobs?, next_due: self.next_due })
    }
}

impl LeasedJob {
    fn into_claimed(self, names: &Names) -> Result<Claimed, StoreError> {
        let spec = Arc::new(self.request.spec(names)?);
        Ok(Claimed {
            job: Job { id: self.request.id, spec, life: self.life, outcome: None },
            input: Json::from_text(self.input).map_err(unreadable)?,
            steps: event::parse_steps(&self.steps)?,
        })
    }
}

impl Work for Claim {
    type Answer = Leased;

    fn run(&self, writer: &mut Writer<'_>) -> Result<Leased, Fault> {
        let next_due = writer.memory.ready().advance(self.now);
        let mut jobs = Vec::new();
        for want in &self.request.wants {
            let (mut given, mut openings) = (0, want.openings.clone());
            while given < want.max && jobs.len() < self.request.max {
                let taken = writer.memory.ready().take(&want.kind, &mut openings);
                let Some((key, line)) = taken else { break };
                match writer.read_waiting(key) {
                    Ok((job, before)) => {
                        let leased = writer.lease(job, &before, &self.request, self.now)?;
                        given += usize::from(leased.is_some());
                        jobs.extend(leased);
                    }
                    // It cannot be run, and must not keep those behind it from running.
                    Err(Fault::Refused(error)) => {
                        tracing::error!(job = key.as_i64(), %error, "a waiting job cannot be read and is left out");
                        writer.memory.ready().end(key, &line, self.now);
                    }
                    Err(fault) => return Err(fault),
                }
            }
        }
        Ok(Leased { jobs, next_due })
    }
}

impl Writer<'_> {
    /// What the tables hold of a job that was taken from the ready set.
    fn read_waiting(&mut self, key: JobKey) -> Result<(LeasedJob, Hot), Fault> {
        let unreadable = |why: &str| StoreError::Unreadable(format!("a waiting job {why}"));
        let job = self.tables.live.get(key, true)?.ok_or_else(|| unreadable("is missing"))?;
        let LiveJob { request, stored, input } = job;
        let before = Hot::read(&mut self.tables, &mut self.numbers, &request, stored)?;
        if before.life.lease.is_some() || before.life.state.is_final() {
            return Err(unreadable("does not wait").into());
        }
        let steps = if before.life.steps > 0 { event::steps(self.tables.connection, key)? } else { Vec::new() };
        let input = input.ok_or_else(|| unreadable("has no input"))?;
        Ok((LeasedJob { request, life: before.life.clone(), input, steps }, before))
    }

    /// Leases it; `None` if it is past its deadline, or not ready after all.
    fn lease(
        &mut self,
        mut job: LeasedJob,
        before: &Hot,
        claim: &ClaimRequest,
        now: Time,
    ) -> Result<Option<LeasedJob>, Fault> {
        let command = Command::Claim { worker: claim.worker.clone(), until: now.after(claim.lease) };
        let Ok(Decision { life, events }) = decide(&before.life, &before.rules, command, now) else {
            // The clock stepped back: its time is yet to come again.
            self.memory.ready().insert(before.id.key(), &before.line, before.life.run_at, now);
            return Ok(None);
        };
        job.life = life.clone();
        self.change(before, life, events, now)?;
        Ok((job.life.state == State::Running).then_some(job))
    }
}
