//! The same operations on two stores leave the same behind. Operations are drawn from a seed, so that a run that
//! differed can be had again.

use std::sync::Arc;
use std::time::Duration;

use raincheck_core::{
    ConversationId, Dice, Ending, Fence, JobId, Note, Openings, Priority, Progress, Retry, Role, Spec, StepRecord,
    Time, Want, Webhook, WorkerId,
};
use serde_json::json;

use super::world::{START, input, problem, spec};
use crate::{
    Acceptance, Append, Beat, Besides, Cancel, ClaimRequest, DeliveryRequest, Due, Filter, Finish, Idempotency,
    MessagesRead, NewConversation, NewJob, NewMessage, NewSummary, NewTurn, Order, Store, Then, Tried,
};

/// A small generator of numbers (SplitMix64): chance that can be had again.
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn of<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let bound = u64::try_from(items.len()).ok().filter(|len| *len > 0)?;
        items.get(usize::try_from(self.below(bound)).ok()?)
    }
}

struct Run {
    left: Arc<dyn Store>,
    right: Arc<dyn Store>,
    chance: Chance,
    now: Time,
    jobs: Vec<JobId>,
    conversations: Vec<ConversationId>,
    /// Every lease ever given, so that stale ones are tried as well.
    leases: Vec<(JobId, Fence)>,
    /// Every delivery ever taken.
    taken: Vec<Due>,
    /// The endpoint that deliveries were taken for last.
    endpoint: String,
}

/// Does so many random operations on both, which must begin empty, and compares every answer and all that is left.
///
/// # Panics
/// If they differ.
pub async fn same_operations_same_logs(left: Arc<dyn Store>, right: Arc<dyn Store>, seed: u64, operations: usize) {
    let chance = Chance(seed);
    let mut run = Run {
        left,
        right,
        chance,
        now: START,
        jobs: Vec::new(),
        conversations: Vec::new(),
        leases: Vec::new(),
        taken: Vec::new(),
        endpoint: String::new(),
    };
    for number in 0..operations {
        run.step().await;
        if number % 400 == 399 {
            run.compare().await;
        }
    }
    run.compare().await;
}

/// Calls both stores, and makes sure that they say the same.
macro_rules! both {
    ($run:expr, $store:ident => $call:expr) => {{
        let left = {
            let $store = &*$run.left;
            $call.await
        };
        let right = {
            let $store = &*$run.right;
            $call.await
        };
        assert_eq!(format!("{left:?}"), format!("{right:?}"));
        left.unwrap()
    }};
}

fn child(new: NewJob, parent: JobId) -> NewJob {
    NewJob { spec: Arc::new(Spec { parent: Some(parent), ..(*new.spec).clone() }), ..new }
}

impl Run {
    async fn step(&mut self) {
        self.now = self.now.after(Duration::from_millis(self.chance.below(400)));
        match self.chance.below(26) {
            0..5 => self.accept().await,
            5..9 => self.claim().await,
            9..13 => self.finish().await,
            13..15 => self.append().await,
            15 => self.beat().await,
            16 => self.cancel().await,
            17 => self.sweep().await,
            18 => self.delete().await,
            19 => self.deliver().await,
            20 => self.note_delivery().await,
            21..24 => self.converse().await,
            _ => self.rest().await,
        }
    }

    fn new_job(&mut self) -> NewJob {
        let chance = &mut self.chance;
        let pick = |chance: &mut Chance, words: &[&str]| chance.of(words).copied().unwrap_or("a").to_owned();
        let later = if chance.one_in(4) { chance.below(5_000) } else { 0 };
        let deadline = chance.one_in(4).then(|| chance.below(20_000));
        let spec = Spec {
            kind: pick(chance, &["echo", "scan"]).parse().unwrap(),
            queue: pick(chance, &["echo", "slow", "fast"]).parse().unwrap(),
            priority: Priority::new(u8::try_from(chance.below(10)).unwrap()).unwrap(),
            tenant: pick(chance, &["default", "a", "b"]).parse().unwrap(),
            concurrency_key: chance.one_in(2).then(|| pick(chance, &["j", "k", "l"]).parse().unwrap()),
            lane: chance.one_in(3).then(|| pick(chance, &["wide", "narrow", "new"]).parse().unwrap()),
            created_at: self.now,
            run_at: self.now.after(Duration::from_millis(later)),
            deadline: deadline.map(|wait| self.now.after(Duration::from_millis(wait))),
            max_attempts: u32::try_from(chance.below(4)).unwrap(),
            retention_ms: chance.below(30_000),
            webhook: chance.one_in(2).then(|| Webhook::new(format!("https://{}/", pick(chance, &["x", "y", "z"])))),
            ..spec()
        };
        let key = u128::from(chance.below(300));
        let idempotency =
            chance.one_in(2).then(|| Idempotency { key: key << 100 | key, fingerprint: u128::from(chance.below(2)) });
        let turn = self.chance.one_in(4).then(|| self.turn());
        let chance = &mut self.chance;
        NewJob { spec: Arc::new(spec), input: input(chance.below(9)), random: chance.next(), idempotency, turn }
    }

    async fn accept(&mut self) {
        let count = 1 + self.chance.below(4);
        let batch: Vec<NewJob> = (0..count).map(|_| self.new_job()).collect();
        for answer in both!(self, store => store.accept(batch.clone(), self.now)) {
            if let Acceptance::New(job) = answer {
                self.jobs.push(job.id);
                self.conversations.extend(job.spec.turn.map(|turn| turn.conversation));
            }
        }
    }

    fn worker(&mut self) -> WorkerId {
        WorkerId::new(self.chance.of(&["w1", "w2", "w3"]).copied().unwrap_or_default())
    }

    async fn claim(&mut self) {
        let mut wants = Vec::new();
        for kind in ["echo", "scan"] {
            let mut upto = |most| usize::try_from(self.chance.below(most)).unwrap();
            let known = [("wide".parse().unwrap(), 9), ("narrow".parse().unwrap(), upto(2))].into();
            let openings = Openings { known, other: upto(3) };
            wants.push(Want { kind: kind.parse().unwrap(), max: upto(4), openings });
        }
        let lease = Duration::from_millis(1_000 + self.chance.below(5_000));
        let request =
            ClaimRequest { worker: self.worker(), wants, max: usize::try_from(self.chance.below(6)).unwrap(), lease };
        let claims = both!(self, store => store.claim(request.clone(), self.now));
        self.leases.extend(claims.jobs.iter().map(|claimed| (claimed.job.id, claimed.job.life.fence)));
    }

    fn lease(&mut self) -> Option<(JobId, Fence)> {
        let recent = self.leases.len().saturating_sub(12);
        let from = if self.chance.one_in(8) { 0 } else { recent };
        self.chance.of(&self.leases[from..]).copied()
    }

    fn notes(&mut self) -> Vec<Note> {
        let chance = &mut self.chance;
        let note = |chance: &mut Chance| match chance.below(3) {
            0 => Note::Progress(Progress::counted(chance.below(100), 100, "on it")),
            1 => Note::Output(json!({"chunk": chance.below(1_000)}).into()),
            _ => {
                let name = format!("step {}", chance.below(1_000));
                Note::Step(StepRecord { name, result: json!([chance.below(9)]).into() })
            }
        };
        (0..chance.below(4)).map(|_| note(chance)).collect()
    }

    async fn finish(&mut self) {
        let Some((job, fence)) = self.lease() else { return };
        let retry = match self.chance.below(4) {
            0 => Retry::Backoff,
            1 => Retry::After(Duration::from_millis(self.chance.below(3_000))),
            2 => Retry::Postpone(u32::try_from(self.chance.below(3_000)).unwrap()),
            _ => Retry::Never,
        };
        let ending = match self.chance.below(8) {
            0..3 => Ending::Completed(json!({"n": self.chance.below(9)}).into()),
            3..5 => Ending::Failed { problem: problem(), retry },
            5 => Ending::Cancelled,
            6 => Ending::Expired,
            _ => Ending::Released,
        };
        let dice = Dice(u32::try_from(self.chance.below(1 << 32)).unwrap());
        let count = if self.chance.one_in(3) { self.chance.below(3) } else { 0 };
        let follow_ups = (0..count).map(|_| self.new_job()).map(|new| child(new, job)).collect();
        let reply = self.chance.one_in(2).then(|| input(self.chance.below(9)));
        let summaries = self.summary().into_iter().collect();
        let besides = Besides { follow_ups, reply, summaries };
        let finish = Finish { job, fence, notes: self.notes(), ending, dice, besides };
        both!(self, store => store.finish(vec![finish.clone()], self.now));
    }

    async fn append(&mut self) {
        let Some((job, fence)) = self.lease() else { return };
        let after = self.chance.one_in(2).then(|| self.chance.below(12));
        let append = Append { job, fence, notes: self.notes(), after };
        both!(self, store => store.append(vec![append.clone()], self.now));
    }

    async fn beat(&mut self) {
        let Some((job, fence)) = self.lease() else { return };
        let until = self.now.after(Duration::from_millis(self.chance.below(5_000)));
        both!(self, store => store.heartbeat(vec![Beat { job, fence, until }], self.now));
    }

    async fn cancel(&mut self) {
        let Some(job) = self.chance.of(&self.jobs).copied() else { return };
        let tenant = self.chance.one_in(3).then(|| "a".parse().unwrap());
        let cancel = Cancel { job, tenant, reason: self.chance.one_in(2).then(|| "why".to_owned()) };
        both!(self, store => store.cancel(vec![cancel.clone()], self.now));
    }

    async fn sweep(&mut self) {
        let max = usize::try_from(1 + self.chance.below(6)).unwrap();
        both!(self, store => store.sweep(max, self.now));
    }

    async fn delete(&mut self) {
        let Some(job) = self.chance.of(&self.jobs).copied() else { return };
        both!(self, store => store.delete(job, None));
    }

    async fn deliver(&mut self) {
        let worker = self.worker();
        let mut upto = |most| usize::try_from(self.chance.below(most)).unwrap();
        let request = DeliveryRequest {
            worker,
            max: upto(5),
            per_endpoint: upto(4),
            room: [("default y".to_owned(), upto(3))].into(),
            after: self.endpoint.clone(),
            until: self.now.after(Duration::from_secs(3)),
        };
        let claimed = both!(self, store => store.claim_deliveries(request.clone(), self.now));
        self.taken.extend(claimed.due);
        self.endpoint = claimed.after;
    }

    async fn note_delivery(&mut self) {
        let recent = self.taken.len().saturating_sub(6);
        let Some(Due { job, claim, .. }) = self.chance.of(&self.taken[recent..]).cloned() else { return };
        let then = match self.chance.below(4) {
            0 => Then::Delivered,
            3 => Then::Later(self.now.after(Duration::from_millis(self.chance.below(3_000)))),
            1 => Then::Again(self.now.after(Duration::from_millis(self.chance.below(3_000)))),
            _ => Then::GivenUp,
        };
        let tried = Tried { job, claim, answer: "said".into(), then };
        both!(self, store => store.note_deliveries(vec![tried.clone()], self.now));
        if self.chance.one_in(4) {
            both!(self, store => store.deliver_again(job, None, self.now));
        }
    }

    fn conversation(&mut self) -> Option<ConversationId> {
        let recent = self.conversations.len().saturating_sub(8);
        self.chance.of(&self.conversations[recent..]).copied()
    }

    fn turn(&mut self) -> NewTurn {
        let conversation = if self.chance.one_in(4) { None } else { self.conversation() };
        let random = std::array::from_fn(|_| self.chance.next());
        let metadata = self.chance.one_in(2).then(|| input(1));
        NewTurn { conversation, content: input(self.chance.below(9)), metadata, random }
    }

    fn summary(&mut self) -> Option<NewSummary> {
        let conversation = self.conversation().filter(|_| self.chance.one_in(4))?;
        let up_to = u32::try_from(self.chance.below(9)).unwrap();
        Some(NewSummary { conversation, up_to, content: input(self.chance.below(9)) })
    }

    async fn converse(&mut self) {
        let tenant = self.chance.of(&["default", "a", "b"]).copied().unwrap_or("a").parse().unwrap();
        let (random, content) = (self.chance.next(), input(self.chance.below(9)));
        let deed = self.chance.below(8);
        let Some(conversation) = self.conversation().filter(|_| deed > 0) else {
            let new = NewConversation { tenant, metadata: Some(content), random };
            let made = both!(self, store => store.create_conversation(new.clone(), self.now));
            self.conversations.extend(made.map(|made| made.id));
            return;
        };
        match deed {
            1 => drop(both!(self, store => store.delete_conversation(conversation, Some(&tenant), self.now))),
            2..5 => {
                let role = self.chance.of(&[Role::User, Role::System]).copied().unwrap_or(Role::User);
                let tenant = self.chance.one_in(2).then_some(tenant);
                let new = NewMessage { conversation, tenant, role, content, metadata: None, random };
                drop(both!(self, store => store.append_message(new.clone(), self.now)));
            }
            _ => {
                let order = if self.chance.one_in(2) { Order::NewestFirst } else { Order::OldestFirst };
                let cursor = self.chance.one_in(2).then(|| u32::try_from(self.chance.below(20)).unwrap());
                let max = usize::try_from(self.chance.below(5)).unwrap();
                let read = MessagesRead { conversation, tenant: Some(tenant), order, cursor, max };
                both!(self, store => store.messages(read.clone()));
            }
        }
    }

    /// All that is left of every conversation.
    async fn compare_conversations(&self) {
        for id in &self.conversations {
            both!(self, store => store.conversation(*id, None));
            both!(self, store => store.summary(*id, None, u32::MAX));
            let read = MessagesRead {
                conversation: *id,
                tenant: None,
                order: Order::OldestFirst,
                cursor: None,
                max: usize::MAX,
            };
            both!(self, store => store.messages(read.clone()));
        }
        for tenant in [None, Some("a".parse().unwrap())] {
            both!(self, store => store.conversations(tenant.as_ref(), None, 20));
        }
    }

    /// What is rare.
    async fn rest(&mut self) {
        match self.chance.below(4) {
            0 => {
                let worker = self.worker();
                both!(self, store => store.worker_died(&worker, self.now));
            }
            1 => {
                let queue = self.chance.of(&["echo", "slow"]).copied().unwrap_or("echo").parse().unwrap();
                let paused = self.chance.one_in(3);
                both!(self, store => store.set_paused(&queue, paused));
            }
            _ => {
                let Some(job) = self.chance.of(&self.jobs).copied() else { return };
                let (after, max) = (self.chance.below(6), usize::try_from(self.chance.below(6)).unwrap());
                both!(self, store => store.read_log(job, None, after, max));
            }
        }
    }

    /// All that is left of every job.
    async fn compare(&self) {
        assert_eq!((self.left.waiting(), self.left.queues()), (self.right.waiting(), self.right.queues()));
        for job in &self.jobs {
            both!(self, store => store.read_log(*job, None, 0, usize::MAX));
            both!(self, store => store.input(*job));
            both!(self, store => store.steps(*job));
            both!(self, store => store.delivery(*job, None));
            if let Some(job) = both!(self, store => store.get(*job, None)) {
                assert_eq!(self.left.place(&job), self.right.place(&job));
            }
        }
        self.compare_conversations().await;
        for tenant in [None, Some("a".parse().unwrap())] {
            let mut before = None;
            loop {
                let filter = Filter { tenant: tenant.clone(), before, ..Filter::default() };
                let page = both!(self, store => store.list(filter.clone(), 7, self.now));
                before = page.next;
                if before.is_none() {
                    break;
                }
            }
        }
    }
}
