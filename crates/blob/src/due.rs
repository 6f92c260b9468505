use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::contents::Key;
use crate::room::Reserved;

/// Contents that are to be brought to the bucket or removed from it. All of it stands in the directory, too: this is forgotten
/// with the process.
#[derive(Debug, Default)]
pub(crate) struct Due {
    held: Mutex<Held>,
    added: Notify,
}

#[derive(Debug, Default)]
struct Held {
    waiting: VecDeque<Key>,
    under_way: BTreeSet<Key>,
    /// What the bytes on this disk take.
    room: BTreeMap<Key, Reserved>,
}

impl Due {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a content looked at. `room` is what its bytes on this disk take, if they have just come.
    pub(crate) fn add(&self, key: &Key, room: Option<Reserved>) {
        let mut held = self.held();
        if let Some(room) = room {
            held.room.insert(key.clone(), room);
        }
        if !held.waiting.contains(key) {
            held.waiting.push_back(key.clone());
        }
        drop(held);
        self.added.notify_one();
    }

    /// The next content. No content is in two hands at once.
    pub(crate) fn take(&self) -> Option<Key> {
        let mut held = self.held();
        let Held { waiting, under_way, .. } = &mut *held;
        let key = waiting.iter().position(|key| !under_way.contains(key)).and_then(|at| waiting.remove(at))?;
        under_way.insert(key.clone());
        Some(key)
    }

    /// What was taken is done for now; or is to be looked at `again`.
    pub(crate) fn put_back(&self, key: &Key, again: bool) {
        self.held().under_way.remove(key);
        if again {
            self.add(key, None);
        } else {
            self.added.notify_one();
        }
    }

    /// The bytes of a content are not on this disk any more.
    pub(crate) fn free(&self, key: &Key) {
        drop(self.held().room.remove(key));
    }

    /// Waits until there may be something to take.
    pub(crate) async fn changed(&self) {
        self.added.notified().await;
    }

    /// How many contents wait or are under way.
    pub(crate) fn len(&self) -> usize {
        let held = self.held();
        held.waiting.len() + held.under_way.iter().filter(|key| !held.waiting.contains(key)).count()
    }
}
