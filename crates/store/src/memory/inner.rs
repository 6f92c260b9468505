use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use raincheck_core::{
    Command, Decision, Event, EventBody, Job, JobId, JobKey, Json, Life, Line, Minter, Note, Outcome, ReadySet,
    Refusal, Spec, State, StepRecord, Tenant, Time, completes, decide,
};

use super::conversations::Kept;
use super::deliveries::Deliveries;
use crate::idempotency::IdempotencyIndex;
use crate::{
    Acceptance, ApiKey, Change, ClaimRequest, Claimed, Claims, FOLLOW_UPS_MAX, Finish, Idempotency, Limits, NewJob,
    WebhookSecrets, followed_up,
};

/// Everything that the model keeps.
pub(super) struct Inner {
    pub(super) jobs: BTreeMap<JobKey, Entry>,
    pub(super) ready: ReadySet,
    pub(super) leases: BTreeSet<(Time, JobKey)>,
    pub(super) deadlines: BTreeSet<(Time, JobKey)>,
    pub(super) retention: BTreeSet<(Time, JobKey)>,
    pub(super) idempotency: IdempotencyIndex,
    pub(super) keys: BTreeMap<String, ApiKey>,
    pub(super) deliveries: Deliveries,
    pub(super) webhook_secrets: BTreeMap<Tenant, WebhookSecrets>,
    pub(super) conversations: Kept,
    pub(super) minter: Minter,
    pub(super) closed: bool,
}

/// A job with its log.
pub(super) struct Entry {
    pub(super) id: JobId,
    pub(super) spec: Arc<Spec>,
    pub(super) input: Json,
    pub(super) idempotency_key: Option<u128>,
    pub(super) life: Life,
    pub(super) outcome: Option<Outcome>,
    pub(super) log: Vec<Event>,
}

impl Entry {
    pub(super) fn job(&self) -> Job {
        Job { id: self.id, spec: Arc::clone(&self.spec), life: self.life.clone(), outcome: self.outcome.clone() }
    }

    pub(super) fn belongs_to(&self, tenant: Option<&Tenant>) -> bool {
        tenant.is_none_or(|tenant| *tenant == self.spec.tenant)
    }

    pub(super) fn steps(&self) -> Vec<StepRecord> {
        let step = |event: &Event| match &event.body {
            EventBody::Step(step) => Some(step.clone()),
            _ => None,
        };
        self.log.iter().filter_map(step).collect()
    }
}

impl Inner {
    pub(super) fn new() -> Self {
        Self {
            jobs: BTreeMap::new(),
            ready: ReadySet::default(),
            leases: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            retention: BTreeSet::new(),
            idempotency: IdempotencyIndex::default(),
            keys: BTreeMap::new(),
            deliveries: Deliveries::default(),
            webhook_secrets: BTreeMap::new(),
            conversations: Kept::default(),
            minter: Minter::after(None),
            closed: false,
        }
    }

    /// Decides and, unless refused, does it.
    pub(super) fn command(
        &mut self,
        key: JobKey,
        id: Option<JobId>,
        command: Command,
        now: Time,
        changes: &mut Vec<Change>,
    ) -> Result<Life, Refusal> {
        self.command_with(key, id, command, None, now, changes)
    }

    /// As [`Inner::command`]; if it completes a job with a turn, `reply` is what that answers.
    pub(super) fn command_with(
        &mut self,
        key: JobKey,
        id: Option<JobId>,
        command: Command,
        reply: Option<&Json>,
        now: Time,
        changes: &mut Vec<Change>,
    ) -> Result<Life, Refusal> {
        let entry = self.jobs.get_mut(&key).filter(|entry| id.is_none_or(|id| id == entry.id));
        let Some(entry) = entry else { return Err(Refusal::LeaseLost) };
        let Decision { life, events } = decide(&entry.life, &entry.spec.rules(), command, now)?;
        let before = std::mem::replace(&mut entry.life, life.clone());
        if let Some(Event { body: EventBody::Finished(outcome), .. }) = events.last() {
            entry.outcome = Some(outcome.clone());
            if let Some(turn) = &entry.spec.turn {
                self.conversations.end(turn, outcome, reply, now);
            }
        }
        let webhook = entry.spec.webhook.as_ref().filter(|webhook| life.state.is_final() && webhook.wants_end());
        if let Some(webhook) = webhook {
            self.deliveries.add(entry.id, webhook.endpoint(&entry.spec.tenant), now);
        }
        let is_told = webhook.is_some();
        let is_turn_over = life.state.is_final() && entry.spec.concurrency_key.is_some();
        let change = |event: &Event| Change { job: entry.id, event: event.clone(), is_told, is_turn_over };
        changes.extend(events.iter().map(change));
        entry.log.extend(events);
        let spec = Arc::clone(&entry.spec);
        if let (true, Some(started)) = (life.state.is_final(), before.started_at) {
            self.ready.observe(&Line::from(&*spec), now.since(started));
        }
        self.unindex(key, &spec, &before);
        self.index(key, &spec, &life, now);
        Ok(life)
    }

    /// How many notes of its current attempt a job's log has after number `after`.
    pub(super) fn noted(&self, key: JobKey, after: u64) -> usize {
        self.jobs.get(&key).map_or(0, |Entry { log, life, .. }| {
            let is_noted = |event: &&Event| event.attempt == life.attempt && event.body.event_type().is_note();
            log.iter().rev().take_while(|event| event.seq > after).filter(is_noted).count()
        })
    }

    pub(super) fn unindex(&mut self, key: JobKey, spec: &Spec, life: &Life) {
        match &life.lease {
            Some(lease) => drop(self.leases.remove(&(lease.until, key))),
            None => drop(self.ready.remove(key, &Line::from(spec), life.run_at)),
        }
        if let Some(deadline) = spec.deadline {
            self.deadlines.remove(&(deadline, key));
        }
        if let Some(expires_at) = life.expires_at {
            self.retention.remove(&(expires_at, key));
        }
    }

    pub(super) fn index(&mut self, key: JobKey, spec: &Spec, life: &Life, now: Time) {
        if let Some(expires_at) = life.expires_at {
            self.retention.insert((expires_at, key));
            self.ready.end(key, &Line::from(spec), now);
            return;
        }
        match &life.lease {
            Some(lease) => drop(self.leases.insert((lease.until, key))),
            None => self.ready.insert(key, &Line::from(spec), life.run_at, now),
        }
        if let (Some(deadline), None) = (spec.deadline, &life.lease) {
            self.deadlines.insert((deadline, key));
        }
    }

    pub(super) fn recall(&self, idempotency: Idempotency) -> Option<Acceptance> {
        let known = self.idempotency.get(idempotency.key)?;
        let entry = self.jobs.get(&known.job)?;
        Some(if known.fingerprint == idempotency.fingerprint {
            Acceptance::Existing(entry.job())
        } else {
            Acceptance::KeyReused(entry.id)
        })
    }

    pub(super) fn accept(&mut self, new: NewJob, limits: &Limits, now: Time, changes: &mut Vec<Change>) -> Acceptance {
        if let Some(idempotency) = new.idempotency {
            if let Some(known) = self.recall(idempotency) {
                return known;
            }
            if self.idempotency.len() >= limits.idempotency_keys {
                return Acceptance::KeysExhausted;
            }
        }
        let waiting = self.ready.waiting(&new.spec.tenant);
        if waiting >= limits.waiting_per_tenant {
            return Acceptance::QuotaReached { waiting, limit: limits.waiting_per_tenant };
        }
        if self.ready.len() >= limits.waiting {
            return Acceptance::QuotaReached { waiting: self.ready.len(), limit: limits.waiting };
        }
        if let Some(turn) = &new.turn
            && let Some(refusal) = self.conversations.refused(turn, &new.spec.tenant, limits)
        {
            return Acceptance::NoTurn(refusal);
        }
        let id = self.minter.mint(now, new.random);
        let mut spec = new.spec;
        if let Some(turn) = new.turn {
            let turn = self.conversations.turn(turn, &spec.tenant, id, &mut self.minter, now);
            Arc::make_mut(&mut spec).take_turn(turn);
        }
        if let Some(idempotency) = new.idempotency {
            self.idempotency.insert(idempotency, id.key());
        }
        let event = Event { seq: 1, at: now, attempt: 0, body: EventBody::Accepted(Arc::clone(&spec)) };
        changes.push(Change { job: id, event: event.clone(), is_told: false, is_turn_over: false });
        let entry = Entry {
            id,
            life: Life::accepted(&spec),
            spec,
            input: new.input,
            idempotency_key: new.idempotency.map(|idempotency| idempotency.key),
            outcome: None,
            log: vec![event],
        };
        let job = entry.job();
        self.index(id.key(), &entry.spec, &entry.life, now);
        self.jobs.insert(id.key(), entry);
        Acceptance::New(job)
    }

    pub(super) fn finish(
        &mut self,
        finish: Finish,
        limits: &Limits,
        now: Time,
        changes: &mut Vec<Change>,
    ) -> Result<Life, Refusal> {
        let Finish { job, fence, mut notes, ending, dice, besides } = finish;
        let running = self.find(job, None);
        if running.is_some_and(|entry| completes(&entry.life, fence, &ending)) {
            for new in besides.follow_ups.iter().take(FOLLOW_UPS_MAX).cloned() {
                let kind = new.spec.kind.clone();
                notes.push(Note::FollowUp(followed_up(kind, &Ok(self.accept(new, limits, now, changes)))));
            }
        }
        let command = Command::Finish { fence, notes, ending, dice };
        let life = self.command_with(job.key(), Some(job), command, besides.reply.as_ref(), now, changes)?;
        if let (State::Completed, Some(entry)) = (life.state, self.jobs.get(&job.key())) {
            self.conversations.summarize(besides.summaries, &entry.spec.tenant, now);
        }
        Ok(life)
    }

    pub(super) fn find(&self, job: JobId, tenant: Option<&Tenant>) -> Option<&Entry> {
        self.jobs.get(&job.key()).filter(|entry| entry.id == job && entry.belongs_to(tenant))
    }

    pub(super) fn forget(&mut self, key: JobKey) {
        if let Some(entry) = self.jobs.remove(&key) {
            self.unindex(key, &entry.spec, &entry.life);
            self.deliveries.forget(key);
            if let Some(key) = entry.idempotency_key {
                self.idempotency.remove(key, entry.id.key());
            }
        }
    }

    pub(super) fn claim(&mut self, request: &ClaimRequest, now: Time, changes: &mut Vec<Change>) -> Claims {
        let next_due = self.ready.advance(now);
        let mut claims = Claims { jobs: Vec::new(), next_due };
        for want in &request.wants {
            let (mut given, mut openings) = (0, want.openings.clone());
            while given < want.max && claims.jobs.len() < request.max {
                let Some((key, _)) = self.ready.take(&want.kind, &mut openings) else { break };
                let command = Command::Claim { worker: request.worker.clone(), until: now.after(request.lease) };
                let claimed = self.command(key, None, command, now, changes);
                if let (Err(_), Some(entry)) = (&claimed, self.jobs.get(&key)) {
                    // Made ready by somebody whose clock is ahead: it goes on waiting.
                    let (spec, life) = (Arc::clone(&entry.spec), entry.life.clone());
                    self.index(key, &spec, &life, now);
                }
                let running = claimed.is_ok_and(|life| life.state == State::Running);
                if let (true, Some(entry)) = (running, self.jobs.get(&key)) {
                    given += 1;
                    claims.jobs.push(Claimed { job: entry.job(), input: entry.input.clone(), steps: entry.steps() });
                }
            }
        }
        claims
    }
}
