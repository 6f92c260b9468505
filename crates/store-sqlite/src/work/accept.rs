use std::sync::Arc;

use raincheck_core::{Event, EventBody, Job, Life, Time};
use raincheck_store::{Acceptance, Change, Idempotency, NewJob, StoreError};

use crate::fault::Fault;
use crate::memory::{Place, Standing, Wait};
use crate::names::Names;
use crate::read::job::{self, Found};
use crate::table::accepted::{New, Texts};
use crate::work::Work;
use crate::writer::Writer;

/// Accepts jobs.
pub(crate) struct Accept {
    jobs: Vec<(NewJob, Texts)>,
    now: Time,
}

/// What became of one of them. A job that was there before is still to be made of its rows, by the caller.
pub(crate) enum Accepted {
    Settled(Acceptance),
    Existing(Found),
    /// None of the call's jobs is taken: there would be too many names.
    NoMoreNames,
}

impl Accepted {
    pub(crate) fn into_acceptance(self, names: &Names) -> Result<Acceptance, StoreError> {
        match self {
            Self::Settled(acceptance) => Ok(acceptance),
            Self::Existing(found) => found.into_job(names).map(Acceptance::Existing),
            Self::NoMoreNames => Err(StoreError::OVERLOADED),
        }
    }
}

impl Accept {
    pub(crate) fn new(jobs: Vec<NewJob>, now: Time) -> Self {
        let with_texts = |job: NewJob| {
            let texts = Texts::of(&job.spec);
            (job, texts)
        };
        Self { jobs: jobs.into_iter().map(with_texts).collect(), now }
    }
}

/// Looks up what an idempotency key stands for.
pub(crate) struct Recall(pub(crate) Idempotency);

impl Work for Recall {
    type Answer = Option<Accepted>;

    fn run(&self, writer: &mut Writer<'_>) -> Result<Option<Accepted>, Fault> {
        writer.recall(self.0)
    }
}

impl Work for Accept {
    type Answer = Vec<Accepted>;

    const ACCEPTS: bool = true;

    fn run(&self, writer: &mut Writer<'_>) -> Result<Vec<Accepted>, Fault> {
        // Before anything is done, so that the others in the transaction need not be run again.
        if !writer.has_names_for(self.jobs.iter().map(|(job, _)| &*job.spec)) {
            return Ok(vec![Accepted::NoMoreNames]);
        }
        self.jobs.iter().map(|(job, texts)| writer.accept(job, texts, self.now)).collect()
    }

    fn bytes(&self) -> usize {
        self.jobs.iter().map(|(job, _)| job.bytes()).sum()
    }
}

impl Writer<'_> {
    pub(crate) fn accept(&mut self, new: &NewJob, texts: &Texts, now: Time) -> Result<Accepted, Fault> {
        if let Some(idempotency) = new.idempotency
            && let Some(known) = self.recall(idempotency)?
        {
            return Ok(known);
        }
        if let Some(refused) = self.refused(new) {
            return Ok(Accepted::Settled(refused));
        }
        if let Some(turn) = &new.turn
            && let Some(refusal) = self.no_room_for_turn(turn, &new.spec.tenant)?
        {
            return Ok(Accepted::Settled(Acceptance::NoTurn(refusal)));
        }
        let id = self.memory.minter.mint(now, new.random);
        let of_turn = match &new.turn {
            Some(turn) => Some(Arc::new(self.take_turn(turn, &new.spec, id, now)?)),
            None => None,
        };
        let spec = of_turn.as_ref().unwrap_or(&new.spec);
        let (ids, line) = self.line_of(spec)?;
        let life = Life::accepted(spec);
        if !self.uncommitted {
            self.tables.accepted.insert(&New { id, line: ids, spec, texts, input: &new.input, accepted_at: now })?;
            self.tables.live.insert(id.key(), &life, ids, spec)?;
            new.idempotency.iter().for_each(|idempotency| self.tables.idempotency.push(id.key(), *idempotency));
        }
        if let Some(idempotency) = new.idempotency {
            self.memory.remember(idempotency, id.key());
        }
        let wait = Wait { line, run_at: spec.run_at, deadline: spec.deadline };
        self.memory.stand(id.key(), Place::Nowhere, Standing::Waiting(wait), now);
        let event = Event { seq: 1, at: now, attempt: 0, body: EventBody::Accepted(Arc::clone(spec)) };
        self.changes.push(Change { job: id, event, is_told: false, is_turn_over: false });
        Ok(Accepted::Settled(Acceptance::New(Job { id, spec: Arc::clone(spec), life, outcome: None })))
    }

    /// What an idempotency key stands for, if it was used before.
    fn recall(&self, idempotency: Idempotency) -> Result<Option<Accepted>, Fault> {
        let Some(known) = self.memory.idempotency.get(idempotency.key) else { return Ok(None) };
        let found = job::find(self.tables.connection, known.job)?;
        // The key of a job is forgotten with the job.
        let missing = || StoreError::Unreadable("the job of an idempotency key is missing".into());
        let found = found.ok_or_else(missing)?;
        Ok(Some(if known.fingerprint == idempotency.fingerprint {
            Accepted::Existing(found)
        } else {
            Accepted::Settled(Acceptance::KeyReused(found.request.id))
        }))
    }

    /// Why no more is taken, if so.
    fn refused(&self, new: &NewJob) -> Option<Acceptance> {
        let limits = &self.limits;
        if new.idempotency.is_some() && self.memory.idempotency.len() >= limits.idempotency_keys {
            return Some(Acceptance::KeysExhausted);
        }
        let ready = self.memory.ready();
        let (own, all) = (ready.waiting(&new.spec.tenant), ready.len());
        if own >= limits.waiting_per_tenant {
            Some(Acceptance::QuotaReached { waiting: own, limit: limits.waiting_per_tenant })
        } else if all >= limits.waiting {
            Some(Acceptance::QuotaReached { waiting: all, limit: limits.waiting })
        } else {
            None
        }
    }
}
