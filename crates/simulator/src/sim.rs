//! What the simulator knows while it runs. Each lock is held for a few lines, and never across a wait.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{SimConfig, Wrong};
use crate::files::Files;
use crate::idempotency::Keys;
use crate::jobs::Jobs;
use crate::ledger::{Book, Ledger};
use crate::limiter::Limiter;
use crate::requests::Requests;
use crate::rules::Rules;

/// Different requests whose repetitions are counted.
pub const REPETITIONS_MAX: usize = 100_000;

/// Everything that calls share.
#[derive(Debug)]
pub(crate) struct Sim {
    config: Mutex<Arc<SimConfig>>,
    rules: Mutex<Rules>,
    limiter: Mutex<Limiter>,
    requests: Mutex<Requests>,
    repetitions: Mutex<Bounded<u64, u64>>,
    keys: Mutex<Keys>,
    jobs: Mutex<Jobs>,
    files: Mutex<Files>,
    pub(crate) book: Arc<Book>,
    /// Work that nobody waits for.
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
    pub(crate) started: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sim {
    /// # Errors
    /// What is wrong with the configuration.
    pub(crate) fn new(config: SimConfig) -> Result<Arc<Self>, Wrong> {
        let sim = Self {
            config: Mutex::default(),
            rules: Mutex::default(),
            limiter: Mutex::default(),
            requests: Mutex::default(),
            repetitions: Mutex::new(Bounded::new(REPETITIONS_MAX)),
            keys: Mutex::default(),
            jobs: Mutex::default(),
            files: Mutex::default(),
            book: Arc::default(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            started: Instant::now(),
        };
        sim.configure(config)?;
        Ok(Arc::new(sim))
    }

    /// Replaces the configuration, and with it all rules for faults.
    ///
    /// # Errors
    /// What is wrong with it; then all stays as it was.
    pub(crate) fn configure(&self, config: SimConfig) -> Result<(), Wrong> {
        config.check()?;
        let mut rules = self.rules();
        rules.clear();
        rules.add(config.faults.clone(), Instant::now())?;
        *lock(&self.config) = Arc::new(config);
        Ok(())
    }

    pub(crate) fn config(&self) -> Arc<SimConfig> {
        Arc::clone(&lock(&self.config))
    }

    pub(crate) fn rules(&self) -> MutexGuard<'_, Rules> {
        lock(&self.rules)
    }

    pub(crate) fn limiter(&self) -> MutexGuard<'_, Limiter> {
        lock(&self.limiter)
    }

    pub(crate) fn requests(&self) -> MutexGuard<'_, Requests> {
        lock(&self.requests)
    }

    pub(crate) fn keys(&self) -> MutexGuard<'_, Keys> {
        lock(&self.keys)
    }

    pub(crate) fn jobs(&self) -> MutexGuard<'_, Jobs> {
        lock(&self.jobs)
    }

    pub(crate) fn files(&self) -> MutexGuard<'_, Files> {
        lock(&self.files)
    }

    /// How often this request came before.
    pub(crate) fn repetition(&self, request: u64) -> u64 {
        let mut repetitions = lock(&self.repetitions);
        let before = repetitions.get(&request).copied().unwrap_or(0);
        repetitions.insert(request, before + 1);
        before
    }

    /// The book, and how near the limits came.
    pub(crate) fn ledger(&self) -> Ledger {
        Ledger { limits: self.limiter().usage(), ..self.book.read() }
    }

    /// As after the start: nothing counted, kept or set, but for the configuration and work under way.
    pub(crate) fn reset(&self) {
        let config = self.config();
        let mut rules = self.rules();
        rules.clear();
        // It fitted when it was configured.
        let _ = rules.add(config.faults.clone(), Instant::now());
        drop(rules);
        self.limiter().reset();
        self.requests().clear();
        *lock(&self.repetitions) = Bounded::new(REPETITIONS_MAX);
        *self.keys() = Keys::default();
        self.jobs().clear();
        *self.files() = Files::default();
        self.book.reset();
    }
}

/// A map in which the oldest makes room.
#[derive(Debug)]
pub(crate) struct Bounded<K, V> {
    kept: HashMap<K, V>,
    order: VecDeque<K>,
    most: usize,
}

impl<K: Clone + Eq + Hash, V> Bounded<K, V> {
    pub(crate) fn new(most: usize) -> Self {
        Self { kept: HashMap::new(), order: VecDeque::new(), most }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.kept.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.kept.get_mut(key)
    }

    /// Keeps a value, and gives the one that made room for it.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if self.kept.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > self.most { self.pop_oldest() } else { None }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let removed = self.kept.remove(key)?;
        self.order.retain(|kept| kept != key);
        Some(removed)
    }

    pub(crate) fn pop_oldest(&mut self) -> Option<V> {
        let oldest = self.order.pop_front()?;
        self.kept.remove(&oldest)
    }

    /// From the oldest to the newest.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.order.iter().filter_map(|key| self.kept.get_key_value(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        let mut map = Bounded::new(2);
        assert_eq!((map.insert(1, 'a'), map.insert(2, 'b'), map.insert(1, 'c')), (None, None, None));
        assert_eq!(map.insert(3, 'd'), Some('c'));
        assert_eq!(map.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(map.remove(&2), Some('b'));
        assert_eq!(map.get(&2), None);
        assert_eq!(map.pop_oldest(), Some('d'));
    }
}
