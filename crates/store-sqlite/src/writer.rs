use std::collections::HashSet;
use std::sync::Arc;

use raincheck_core::{Command, Decision, Event, JobId, JobKey, Json, Life, Line, Refusal, Spec, Tenant, Time, decide};
use raincheck_store::{Change, Limits};

use crate::fault::Fault;
use crate::hot::{self, Hot};
use crate::memory::{Memory, Place, Standing};
use crate::names::{self, LineIds, NAMES_MAX, Numbers};
use crate::table::{Tables, name};

/// What changes jobs: the tables inside a transaction, and the memory that goes with them.
pub(crate) struct Writer<'c> {
    pub(crate) tables: Tables<'c>,
    pub(crate) memory: Memory,
    pub(crate) numbers: Numbers,
    pub(crate) limits: Limits,
    /// See [`crate::Options::uncommitted`].
    pub(crate) uncommitted: bool,
    /// What the observer will be told once it is committed.
    pub(crate) changes: Vec<Change>,
    /// What the attempt that is just being ended answers, if it has a turn and says it.
    pub(crate) reply: Option<Json>,
}

impl Writer<'_> {
    /// Tells a job, which must be this one, to change. Decides and, unless refused, does it.
    pub(crate) fn command(&mut self, job: JobId, command: Command, now: Time) -> Result<Result<Life, Refusal>, Fault> {
        self.command_by_key(job.key(), Some(job), command, now)
    }

    /// As [`Writer::command`], whatever the random part of the id.
    pub(crate) fn command_by_key(
        &mut self,
        key: JobKey,
        id: Option<JobId>,
        command: Command,
        now: Time,
    ) -> Result<Result<Life, Refusal>, Fault> {
        let read;
        let before = match self.memory.running(key) {
            Some(hot) => hot,
            None => match self.tables.live.get(key, false)? {
                Some(job) => {
                    read = Hot::read(&mut self.tables, &mut self.numbers, &job.request, job.stored)?;
                    &read
                }
                None => {
                    let ended = self.tables.finished.state(key)?;
                    return Ok(Err(ended.map_or(Refusal::LeaseLost, Refusal::Finished)));
                }
            },
        };
        if id.is_some_and(|id| id != before.id) {
            return Ok(Err(Refusal::LeaseLost));
        }
        match decide(&before.life, &before.rules, command, now) {
            Ok(Decision { life, events }) => {
                let after = before.after(life.clone(), &events);
                hot::write(&mut self.tables, before, &after, &events)?;
                let (place, started_at) = (Place::of(before), before.life.started_at);
                self.settle(place, started_at, after, events, now)?;
                Ok(Ok(life))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// How many notes of its running attempt a job's log has after number `after`.
    pub(crate) fn noted(&mut self, key: JobKey, after: u64) -> Result<usize, Fault> {
        match self.memory.running(key) {
            Some(running) => Ok(self.tables.event.noted(key, after, running.life.attempt)?),
            None => Ok(0),
        }
    }

    /// Makes of a job what was decided.
    pub(crate) fn change(&mut self, before: &Hot, life: Life, events: Vec<Event>, now: Time) -> Result<(), Fault> {
        let after = before.after(life, &events);
        hot::write(&mut self.tables, before, &after, &events)?;
        self.settle(Place::of(before), before.life.started_at, after, events, now)
    }

    fn settle(
        &mut self,
        from: Place,
        started_at: Option<Time>,
        after: Hot,
        events: Vec<Event>,
        now: Time,
    ) -> Result<(), Fault> {
        let (id, ended) = (after.id, after.life.state.is_final());
        if let (true, Some(turn)) = (ended, &after.turn) {
            self.end_turn(turn, &events, now)?;
        }
        if let (true, Some(started_at)) = (ended, started_at) {
            self.memory.ready().observe(&after.line, now.since(started_at));
        }
        let is_told = ended && after.rules.is_told;
        let is_turn_over = ended && after.line.concurrency_key.is_some();
        self.changes.extend(events.into_iter().map(|event| Change { job: id, event, is_told, is_turn_over }));
        self.memory.stand(id.key(), from, Standing::from(after), now);
        Ok(())
    }

    /// Whether there is such a job, for this tenant.
    pub(crate) fn exists(&mut self, job: JobId, tenant: Option<&Tenant>) -> Result<bool, Fault> {
        let owner = self.tables.accepted.owner(job.key())?;
        let number = |tenant: &Tenant| self.numbers.get(tenant.as_str());
        Ok(owner.is_some_and(|(id, owner)| id == job && tenant.is_none_or(|tenant| number(tenant) == Some(owner))))
    }

    /// The line of a new job, and its numbers. Names that are new are stored.
    pub(crate) fn line_of(&mut self, spec: &Spec) -> Result<(LineIds, Arc<Line>), Fault> {
        if let Some((ids, line)) = self.numbers.last_line(spec) {
            return Ok((ids, names::keyed(line, spec.concurrency_key.as_ref())));
        }
        let ids = LineIds {
            queue: self.number(spec.queue.as_str())?,
            kind: self.number(spec.kind.as_str())?,
            tenant: self.number(spec.tenant.as_str())?,
            lane: spec.lane.as_ref().map_or(Ok(0), |lane| self.number(lane.as_str()))?,
            priority: spec.priority.number(),
        };
        Ok((ids, self.numbers.keyed_line(ids, spec.concurrency_key.as_ref())?))
    }

    /// Whether the names of these new jobs are known, or there may be so many more.
    pub(crate) fn has_names_for<'s>(&self, specs: impl ExactSizeIterator<Item = &'s Spec>) -> bool {
        let room = NAMES_MAX.saturating_sub(self.numbers.len());
        if 4 * specs.len() <= room {
            return true;
        }
        let names = specs.flat_map(|spec| {
            let own = [spec.queue.as_str(), spec.kind.as_str(), spec.tenant.as_str()];
            own.into_iter().chain(spec.lane.as_ref().map(|lane| lane.as_str()))
        });
        names.filter(|name| self.numbers.get(name).is_none()).collect::<HashSet<_>>().len() <= room
    }

    fn number(&mut self, text: &str) -> Result<i64, Fault> {
        if let Some(number) = self.numbers.get(text) {
            return Ok(number);
        }
        let number = self.numbers.add(text)?;
        name::insert(self.tables.connection, number, text)?;
        if self.numbers.len() == NAMES_MAX {
            tracing::warn!("there are {NAMES_MAX} names of queues, kinds and tenants: jobs with new ones are refused");
        }
        Ok(number)
    }
}
