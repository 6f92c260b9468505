use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use raincheck_core::{JobKey, Tenant, Time};
use sha2::{Digest, Sha256};

use crate::{IDEMPOTENCY_WINDOW, Idempotency};

impl Idempotency {
    /// What is to be remembered of a request that its caller gave a name: `key`, which belongs to the tenant and must not hold
    /// a zero byte. Of a request for several jobs each `entry` has a name of its own.
    #[must_use]
    pub fn of(tenant: &Tenant, key: &[u8], entry: Option<usize>, request: &[u8]) -> Self {
        let mut hash = Sha256::new();
        // No tenant's name has a zero byte.
        hash.update(tenant.as_str());
        hash.update([0]);
        hash.update(key);
        if let Some(number) = entry {
            hash.update([0]);
            hash.update(number.to_be_bytes());
        }
        Self { key: first_half(&hash.finalize()), fingerprint: first_half(&Sha256::digest(request)) }
    }
}

fn first_half(hash: &[u8]) -> u128 {
    hash.iter().take(16).fold(0, |number, byte| (number << 8) | u128::from(*byte))
}

/// Growing one table of many millions of entries would stop everything for tens of milliseconds; each of these is small.
const SHARDS: usize = 64;

/// The idempotency keys of the last [`IDEMPOTENCY_WINDOW`], in memory: an index on random keys in the database would cost
/// more than all other work of accepting a job.
#[derive(Debug)]
pub struct IdempotencyIndex {
    shards: Vec<HashMap<u128, Known, BuildHasherDefault<TakeLowBits>>>,
    /// Oldest first.
    order: VecDeque<(JobKey, u128)>,
}

/// What a known idempotency key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The request it came with.
    pub fingerprint: u128,
    /// The job it stands for.
    pub job: JobKey,
}

impl Default for IdempotencyIndex {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| HashMap::default()).collect(), order: VecDeque::new() }
    }
}

impl IdempotencyIndex {
    /// How many keys are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether no key is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// What a key stands for.
    #[must_use]
    pub fn get(&self, key: u128) -> Option<Known> {
        self.shards[shard(key)].get(&key).copied()
    }

    /// Remembers a key. Jobs come in the order in which they were accepted.
    pub fn insert(&mut self, idempotency: Idempotency, job: JobKey) {
        let known = Known { fingerprint: idempotency.fingerprint, job };
        self.shards[shard(idempotency.key)].insert(idempotency.key, known);
        self.order.push_back((job, idempotency.key));
    }

    /// Forgets a key, because its job is forgotten or was never stored; whether it stood for that job.
    pub fn remove(&mut self, key: u128, job: JobKey) -> bool {
        let entries = &mut self.shards[shard(key)];
        // After its window the key may stand for another job already.
        let found = entries.get(&key).is_some_and(|known| known.job == job);
        if found {
            entries.remove(&key);
        }
        found
    }

    /// Forgets the keys whose time is over; gives the newest job whose key was forgotten.
    pub fn expire(&mut self, now: Time) -> Option<JobKey> {
        let mut newest = None;
        while let Some((job, key)) = self.order.front().copied() {
            if job.minted_at().after(IDEMPOTENCY_WINDOW) > now {
                break;
            }
            self.order.pop_front();
            newest = Some(job);
            let entries = &mut self.shards[shard(key)];
            if entries.get(&key).is_some_and(|known| known.job == job) {
                entries.remove(&key);
            }
        }
        newest
    }
}

fn shard(key: u128) -> usize {
    usize::try_from(key >> 122).unwrap_or(0)
}

/// The keys are parts of SHA-256 sums: any 64 bits of them are as good a hash as can be had.
#[derive(Debug, Default)]
struct TakeLowBits(u64);

impl Hasher for TakeLowBits {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use raincheck_core::Minter;

    use super::*;

    #[test]
    fn a_key_is_remembered_for_its_window() {
        let mut index = IdempotencyIndex::default();
        let mut minter = Minter::after(None);
        let key = |byte: u8| u128::from_be_bytes([byte; 16]);
        let first = minter.mint(Time::EPOCH, 0).key();
        let second = minter.mint(Time::EPOCH.after(IDEMPOTENCY_WINDOW), 0).key();
        index.insert(Idempotency { key: key(1), fingerprint: 7 }, first);
        index.insert(Idempotency { key: key(200), fingerprint: 8 }, second);
        assert_eq!(index.get(key(1)), Some(Known { fingerprint: 7, job: first }));
        assert_eq!(index.expire(Time::EPOCH.after(IDEMPOTENCY_WINDOW)), Some(first));
        assert_eq!(index.get(key(1)), None);
        assert_eq!(index.get(key(200)).map(|known| known.job), Some(second));
        assert_eq!(index.len(), 1);
    }

    #[test]
    fn a_key_used_anew_after_its_job_was_deleted_outlives_the_old_entry() {
        let mut index = IdempotencyIndex::default();
        let mut minter = Minter::after(None);
        let idempotency = Idempotency { key: 5, fingerprint: 1 };
        let first = minter.mint(Time::EPOCH, 0).key();
        index.insert(idempotency, first);
        assert!(index.remove(5, first));
        let again = minter.mint(Time::from_millis(1), 0).key();
        index.insert(idempotency, again);
        assert!(!index.remove(5, first));
        index.expire(Time::EPOCH.after(IDEMPOTENCY_WINDOW));
        assert_eq!(index.get(5).map(|known| known.job), Some(again));
    }
}
