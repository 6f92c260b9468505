use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included, Unbounded};

use raincheck_core::{JobId, JobKey, Time, WorkerId};

use crate::{
    DELIVERIES_LOOKED_AT, Delivery, DeliveryRequest, DeliveryState, Due, DueDeliveries, Then, Tried, UNHEARD,
    UNHEARD_MAX,
};

/// The ends of jobs that webhooks are to be told, and those that were.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    all: BTreeMap<JobKey, Entry>,
    /// Those that are pending, by when they are due.
    pending: BTreeSet<(Time, JobKey)>,
    /// The same by endpoint.
    by_endpoint: BTreeMap<String, BTreeSet<(Time, JobKey)>>,
}

#[derive(Debug)]
struct Entry {
    job: JobId,
    endpoint: String,
    delivery: Delivery,
    claim: u64,
    /// How often it was taken since something was heard of it.
    unheard: u32,
    /// Who has taken it and not said yet what became of it.
    taken_by: Option<WorkerId>,
}

impl Deliveries {
    /// The end of this job is to be told, from now on.
    pub(super) fn add(&mut self, job: JobId, endpoint: String, now: Time) {
        let delivery = Delivery { tries: 0, state: DeliveryState::GivenUp, last: None };
        let entry = Entry { job, endpoint, delivery, claim: 0, unheard: 0, taken_by: None };
        self.all.insert(job.key(), entry);
        self.settle(job.key(), DeliveryState::Pending(now));
    }

    pub(super) fn get(&self, key: JobKey) -> Option<&Delivery> {
        self.all.get(&key).map(|entry| &entry.delivery)
    }

    pub(super) fn forget(&mut self, key: JobKey) {
        self.settle(key, DeliveryState::GivenUp);
        self.all.remove(&key);
    }

    /// From the first try; whether there is anything to deliver.
    pub(super) fn again(&mut self, key: JobKey, now: Time) -> bool {
        self.settle(key, DeliveryState::Pending(now));
        let Some(entry) = self.all.get_mut(&key) else { return false };
        (entry.delivery.tries, entry.unheard) = (0, 0);
        true
    }

    pub(super) fn note(&mut self, tried: Tried, now: Time) {
        let Some(entry) = self.all.get_mut(&tried.job.key()).filter(|entry| entry.job == tried.job) else { return };
        let is_pending = matches!(entry.delivery.state, DeliveryState::Pending(_));
        let is_late = !is_pending || entry.claim != tried.claim;
        if entry.delivery.state == DeliveryState::Delivered || (is_late && tried.then != Then::Delivered) {
            return;
        }
        let state = match tried.then {
            Then::Delivered => DeliveryState::Delivered,
            Then::Again(at) | Then::Later(at) => DeliveryState::Pending(at),
            Then::GivenUp => DeliveryState::GivenUp,
        };
        entry.delivery.tries += u32::from(!matches!(tried.then, Then::Later(_)));
        entry.delivery.last = Some((now, tried.answer));
        entry.unheard = 0;
        self.settle(tried.job.key(), state);
    }

    /// What this worker had taken is due.
    pub(super) fn worker_died(&mut self, worker: &WorkerId, now: Time) {
        let taken = self.all.iter().filter(|(_, entry)| entry.taken_by.as_ref() == Some(worker));
        let keys: Vec<JobKey> = taken.map(|(key, _)| *key).collect();
        keys.into_iter().for_each(|key| self.settle(key, DeliveryState::Pending(now)));
    }

    pub(super) fn claim(&mut self, request: &DeliveryRequest, now: Time) -> DueDeliveries {
        let mut claim = Claim { request, now, taken: BTreeMap::new(), due: Vec::new(), after: request.after.clone() };
        let is_due = |(at, _): &&(Time, JobKey)| *at <= now;
        let first: Vec<JobKey> =
            self.pending.iter().take_while(is_due).take(DELIVERIES_LOOKED_AT).map(|at| at.1).collect();
        first.iter().for_each(|key| self.take(*key, &mut claim));
        if first.len() == DELIVERIES_LOOKED_AT {
            self.take_turns(&mut claim);
        }
        let next = self.pending.iter().find(|at| !is_due(at)).map(|(at, _)| *at);
        let next_due = if claim.is_full() { Some(now) } else { next };
        DueDeliveries { due: claim.due, next_due, after: claim.after }
    }

    fn take_turns(&mut self, claim: &mut Claim<'_>) {
        let after = claim.after.clone();
        let behind = self.by_endpoint.range::<String, _>((Excluded(&after), Unbounded));
        let before = self.by_endpoint.range::<String, _>((Unbounded, Included(&after)));
        let endpoints = behind.chain(before).map(|(endpoint, _)| endpoint.clone());
        for endpoint in endpoints.take(DELIVERIES_LOOKED_AT).collect::<Vec<_>>() {
            if claim.is_full() {
                return;
            }
            let due = self.by_endpoint[&endpoint].iter().take_while(|(at, _)| *at <= claim.now);
            let keys: Vec<JobKey> = due.take(claim.room(&endpoint)).map(|(_, key)| *key).collect();
            keys.into_iter().for_each(|key| self.take(key, claim));
            claim.after = endpoint;
        }
    }

    /// Takes a delivery, if there is room for it.
    fn take(&mut self, key: JobKey, claim: &mut Claim<'_>) {
        let Some(entry) = self.all.get_mut(&key).filter(|entry| claim.room(&entry.endpoint) > 0) else { return };
        if entry.unheard >= UNHEARD_MAX {
            entry.delivery.last = Some((claim.now, UNHEARD.to_owned()));
            return self.settle(key, DeliveryState::GivenUp);
        }
        entry.claim += 1;
        entry.unheard += 1;
        *claim.taken.entry(entry.endpoint.clone()).or_default() += 1;
        let endpoint = entry.endpoint.clone();
        claim.due.push(Due { job: entry.job, endpoint, claim: entry.claim, tries: entry.delivery.tries });
        self.settle(key, DeliveryState::Pending(claim.request.until));
        if let Some(entry) = self.all.get_mut(&key) {
            entry.taken_by = Some(claim.request.worker.clone());
        }
    }

    fn settle(&mut self, key: JobKey, state: DeliveryState) {
        let Some(Entry { endpoint, delivery, taken_by, .. }) = self.all.get_mut(&key) else { return };
        let pending = self.by_endpoint.entry(endpoint.clone()).or_default();
        if let DeliveryState::Pending(at) = delivery.state {
            pending.remove(&(at, key));
            self.pending.remove(&(at, key));
        }
        if let DeliveryState::Pending(at) = state {
            pending.insert((at, key));
            self.pending.insert((at, key));
        } else if pending.is_empty() {
            self.by_endpoint.remove(endpoint);
        }
        delivery.state = state;
        *taken_by = None;
    }
}

/// A claim in the making.
struct Claim<'r> {
    request: &'r DeliveryRequest,
    now: Time,
    /// How many were taken for each endpoint.
    taken: BTreeMap<String, usize>,
    due: Vec<Due>,
    after: String,
}

impl Claim<'_> {
    fn is_full(&self) -> bool {
        self.due.len() >= self.request.max
    }

    /// How many more may be taken for an endpoint.
    fn room(&self, endpoint: &str) -> usize {
        let room = self.request.room.get(endpoint).copied().unwrap_or(self.request.per_endpoint);
        let left = self.request.max.saturating_sub(self.due.len());
        room.saturating_sub(self.taken.get(endpoint).copied().unwrap_or(0)).min(left)
    }
}
