use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included, Unbounded};

use raincheck_core::{JobId, JobKey, Time, WorkerId};

use crate::{Delivery, DeliveryRequest, DeliveryState, Due, DueDeliveries, ENDPOINTS_LOOKED_AT, Then, Tried};

/// The ends of jobs that webhooks are to be told, and those that were.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    all: BTreeMap<JobKey, Entry>,
    /// Those that are pending, by endpoint and when they are due.
    pending: BTreeMap<String, BTreeSet<(Time, JobKey)>>,
}

#[derive(Debug)]
struct Entry {
    job: JobId,
    endpoint: String,
    delivery: Delivery,
    /// Who has taken it and not said yet what became of it.
    taken_by: Option<WorkerId>,
}

impl Deliveries {
    /// The end of this job is to be told, from now on.
    pub(super) fn add(&mut self, job: JobId, endpoint: String, now: Time) {
        let delivery = Delivery { tries: 0, state: DeliveryState::Pending(now), last: None };
        self.pending.entry(endpoint.clone()).or_default().insert((now, job.key()));
        self.all.insert(job.key(), Entry { job, endpoint, delivery, taken_by: None });
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
        self.all.get_mut(&key).map(|entry| entry.delivery.tries = 0).is_some()
    }

    pub(super) fn note(&mut self, tried: Tried, now: Time) {
        let Some(entry) = self.all.get_mut(&tried.job.key()).filter(|entry| entry.job == tried.job) else { return };
        let is_pending = matches!(entry.delivery.state, DeliveryState::Pending(_));
        if !is_pending || entry.delivery.tries != tried.number {
            return;
        }
        entry.delivery.last = Some((now, tried.answer));
        let state = match tried.then {
            Then::Delivered => DeliveryState::Delivered,
            Then::Again(at) => DeliveryState::Pending(at),
            Then::GivenUp => DeliveryState::GivenUp,
        };
        self.settle(tried.job.key(), state);
    }

    /// What this worker had taken is due.
    pub(super) fn worker_died(&mut self, worker: &WorkerId, now: Time) {
        let taken = self.all.iter().filter(|(_, entry)| entry.taken_by.as_ref() == Some(worker));
        let keys: Vec<JobKey> = taken.map(|(key, _)| *key).collect();
        keys.into_iter().for_each(|key| self.settle(key, DeliveryState::Pending(now)));
    }

    pub(super) fn claim(&mut self, request: &DeliveryRequest, now: Time) -> DueDeliveries {
        let mut claimed = DueDeliveries { after: request.after.clone(), ..DueDeliveries::default() };
        let behind = self.pending.range::<String, _>((Excluded(&request.after), Unbounded));
        let before = self.pending.range::<String, _>((Unbounded, Included(&request.after)));
        let endpoints: Vec<String> = behind.chain(before).map(|(endpoint, _)| endpoint.clone()).collect();
        for (looked, endpoint) in endpoints.iter().enumerate() {
            if looked == ENDPOINTS_LOOKED_AT || claimed.due.len() >= request.max {
                claimed.next_due = Some(now);
                return claimed;
            }
            claimed.after.clone_from(endpoint);
            let room = request.room.get(endpoint).copied().unwrap_or(request.per_endpoint);
            if room > 0 {
                self.claim_of(endpoint, room.min(request.max - claimed.due.len()), request, now, &mut claimed);
            }
        }
        claimed
    }

    fn claim_of(
        &mut self,
        endpoint: &str,
        max: usize,
        request: &DeliveryRequest,
        now: Time,
        claimed: &mut DueDeliveries,
    ) {
        let pending = self.pending.get(endpoint).into_iter().flatten();
        let first: Vec<(Time, JobKey)> = pending.take(max + 1).copied().collect();
        let is_due = |(at, _): &&(Time, JobKey)| *at <= now;
        for (_, key) in first.iter().take(max).take_while(is_due) {
            self.settle(*key, DeliveryState::Pending(request.until));
            if let Some(entry) = self.all.get_mut(key) {
                entry.delivery.tries += 1;
                entry.taken_by = Some(request.worker.clone());
                let (job, number) = (entry.job, entry.delivery.tries);
                claimed.due.push(Due { job, endpoint: endpoint.to_owned(), number });
            }
        }
        let next = first.iter().take(max).find(|at| !is_due(at)).map(|(at, _)| *at);
        claimed.next_due = next.into_iter().chain(claimed.next_due).min();
    }

    fn settle(&mut self, key: JobKey, state: DeliveryState) {
        let Some(Entry { endpoint, delivery, taken_by, .. }) = self.all.get_mut(&key) else { return };
        if let DeliveryState::Pending(at) = delivery.state
            && let Some(pending) = self.pending.get_mut(endpoint)
        {
            pending.remove(&(at, key));
            if pending.is_empty() {
                self.pending.remove(endpoint);
            }
        }
        delivery.state = state;
        *taken_by = None;
        if let DeliveryState::Pending(at) = state {
            self.pending.entry(endpoint.clone()).or_default().insert((at, key));
        }
    }
}
