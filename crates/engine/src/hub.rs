use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use raincheck_core::{Event, EventType, JobId};
use raincheck_store::{Change, Observer};
use tokio::sync::{Notify, mpsc, watch};

use crate::running::Attempts;

/// How many changes may wait to be passed on. Beyond it followers are told to look into the log instead.
const PASSING_ON_MAX: usize = 65_536;
/// How many of the last events of a followed job are kept at hand, so that its followers need not all read the log.
const AT_HAND_MAX: usize = 64;

/// Where what a store has committed is passed on: to followers of logs, to the dispatcher, to running attempts.
///
/// Made before the store, which is opened with it as its observer, and then given to the engine.
pub struct Hub {
    followed: Mutex<HashMap<JobId, Weak<Followed>>>,
    /// How many jobs are followed; lets the store's thread skip everything when none is.
    followed_count: AtomicUsize,
    /// `None` once the engine has stopped.
    passing_on: Mutex<Option<mpsc::Sender<Change>>>,
    inbox: Mutex<Option<mpsc::Receiver<Change>>>,
    overflowed: AtomicBool,
    ended: AtomicBool,
    dispatcher: Notify,
    deliverer: Notify,
    /// Workers in other processes that wait for work.
    remote: Notify,
    pub(crate) attempts: Arc<Attempts>,
}

/// What is known of a log without a look into it.
pub(crate) enum AtHand {
    /// These come next, at least one.
    Events(Vec<Event>),
    /// Nothing comes, yet or ever.
    Nothing { over: bool },
    /// The log has to be asked.
    Unknown,
}

/// A job that somebody follows.
pub(crate) struct Followed {
    at_hand: Mutex<VecDeque<Event>>,
    last_seq: watch::Sender<u64>,
}

impl Followed {
    /// What comes after number `after`, as far as that is known without a look into the log.
    pub(crate) fn after(&self, after: u64) -> AtHand {
        let at_hand = self.lock();
        let (Some(first), Some(last)) = (at_hand.front(), at_hand.back()) else { return AtHand::Unknown };
        if first.seq > after.saturating_add(1) {
            AtHand::Unknown
        } else if last.seq > after {
            AtHand::Events(at_hand.iter().filter(|event| event.seq > after).cloned().collect())
        } else {
            AtHand::Nothing { over: last.body.event_type().is_final() }
        }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.last_seq.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.at_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, event: Event) {
        let seq = event.seq;
        let mut at_hand = self.lock();
        if at_hand.back().is_some_and(|last| last.seq + 1 != seq) {
            at_hand.clear();
        }
        if at_hand.len() == AT_HAND_MAX {
            at_hand.pop_front();
        }
        at_hand.push_back(event);
        drop(at_hand);
        self.last_seq.send_replace(seq);
    }
}

impl Hub {
    /// A hub that nobody listens to yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let (passing_on, inbox) = mpsc::channel(PASSING_ON_MAX);
        Arc::new(Self {
            followed: Mutex::default(),
            followed_count: AtomicUsize::new(0),
            passing_on: Mutex::new(Some(passing_on)),
            inbox: Mutex::new(Some(inbox)),
            overflowed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            dispatcher: Notify::new(),
            deliverer: Notify::new(),
            remote: Notify::new(),
            attempts: Arc::default(),
        })
    }

    /// How many jobs are followed.
    pub(crate) fn followed_count(&self) -> usize {
        self.followed_count.load(Ordering::Relaxed)
    }

    /// Something that jobs waited for may be there: has the engine look whether any can be started.
    pub fn look_again(&self) {
        self.wake_dispatcher();
    }

    pub(crate) fn wake_dispatcher(&self) {
        self.dispatcher.notify_one();
    }

    pub(crate) async fn dispatcher_woken(&self) {
        self.dispatcher.notified().await;
    }

    /// There may be deliveries to make.
    pub(crate) fn wake_deliverer(&self) {
        self.deliverer.notify_one();
    }

    pub(crate) async fn deliverer_woken(&self) {
        self.deliverer.notified().await;
    }

    /// Completes when there may be work that was not there when this was called.
    pub(crate) fn work_arrived(&self) -> impl Future<Output = ()> {
        self.remote.notified()
    }

    /// Begins to pass on what happens to a job from now on.
    pub(crate) fn follow(&self, job: JobId) -> Arc<Followed> {
        let mut all = self.lock();
        if let Some(followed) = all.get(&job).and_then(Weak::upgrade) {
            return followed;
        }
        let followed = Arc::new(Followed { at_hand: Mutex::default(), last_seq: watch::Sender::new(0) });
        all.insert(job, Arc::downgrade(&followed));
        self.followed_count.store(all.len(), Ordering::SeqCst);
        followed
    }

    /// Forgets a job that nobody follows any more.
    pub(crate) fn unfollow(&self, job: JobId) {
        let mut all = self.lock();
        if all.get(&job).is_some_and(|followed| followed.strong_count() == 0) {
            all.remove(&job);
            self.followed_count.store(all.len(), Ordering::SeqCst);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Weak<Followed>>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets what is on its way pass and then nothing more: [`Hub::run`] ends.
    pub(crate) fn close(&self) {
        self.passing_on().take();
    }

    /// Tells followers that nothing will come any more.
    fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.send_all_to_the_log();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    fn passing_on(&self) -> MutexGuard<'_, Option<mpsc::Sender<Change>>> {
        self.passing_on.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass_on(&self, change: &Change) {
        if let Some(passing_on) = &*self.passing_on()
            && passing_on.try_send(change.clone()).is_err()
        {
            self.overflowed.store(true, Ordering::SeqCst);
        }
    }

    /// Passes changes on to followers until it is closed. Apart from the store's thread, because one event may have to wake
    /// tens of thousands.
    pub(crate) async fn run(self: Arc<Self>) {
        let Some(mut inbox) = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        while let Some(Change { job, event, .. }) = inbox.recv().await {
            let followed = self.lock().get(&job).and_then(Weak::upgrade);
            if let Some(followed) = followed {
                followed.add(event);
            }
            if self.overflowed.swap(false, Ordering::SeqCst) {
                self.send_all_to_the_log();
            }
        }
        self.end();
    }

    fn send_all_to_the_log(&self) {
        let all: Vec<Arc<Followed>> = self.lock().values().filter_map(Weak::upgrade).collect();
        for followed in all {
            followed.lock().clear();
            followed.last_seq.send_modify(|_| {});
        }
    }
}

impl Observer for Hub {
    fn committed(&self, changes: &[Change]) {
        let mut wake = changes.iter().any(|change| change.is_turn_over);
        let anyone_follows = self.followed_count.load(Ordering::SeqCst) > 0;
        for change in changes {
            match change.event.body.event_type() {
                EventType::Accepted
                | EventType::Released
                | EventType::LeaseLost
                | EventType::RetryScheduled
                | EventType::Postponed => {
                    wake = true;
                }
                EventType::CancelRequested => self.attempts.cancel(change.job, change.event.attempt),
                _ => {}
            }
            if anyone_follows && self.lock().contains_key(&change.job) {
                self.pass_on(change);
            }
        }
        if changes.iter().any(|change| change.is_told) {
            self.deliverer.notify_one();
        }
        if wake {
            self.dispatcher.notify_one();
            self.remote.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use raincheck_core::{EventBody, Json, Time};

    use super::*;

    #[test]
    fn the_log_is_asked_only_for_what_is_not_at_hand() {
        let hub = Hub::new();
        let job = raincheck_core::Minter::after(None).mint(Time::EPOCH, 0);
        let followed = hub.follow(job);
        let event = |seq, body| Event { seq, at: Time::EPOCH, attempt: 1, body };
        assert!(matches!(followed.after(0), AtHand::Unknown), "nothing is at hand yet");
        followed.add(event(4, EventBody::Output(Json::null())));
        assert!(matches!(followed.after(2), AtHand::Unknown), "event 3 is in the log only");
        assert!(matches!(followed.after(3), AtHand::Events(events) if events.len() == 1));
        assert!(matches!(followed.after(4), AtHand::Nothing { over: false }));
        followed.add(event(5, EventBody::Finished(raincheck_core::Outcome::Expired)));
        assert!(matches!(followed.after(5), AtHand::Nothing { over: true }));
        assert!(matches!(followed.after(u64::MAX), AtHand::Nothing { over: true }));
    }
}
