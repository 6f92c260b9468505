use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// How long it is waited for room before an upload is refused: while the bucket takes what is there, there soon is.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// How much may be on the disk that is yet to go to the bucket.
#[derive(Debug)]
pub(crate) struct Room {
    bytes_max: u64,
    taken: Mutex<u64>,
    freed: Notify,
}

/// Room that is taken, and given back when this is dropped.
#[derive(Debug, Default)]
pub struct Reserved {
    /// Nothing where the disk alone is the limit.
    room: Option<Arc<Room>>,
    bytes: u64,
}

impl Room {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, taken: Mutex::new(0), freed: Notify::new() }
    }

    fn taken(&self) -> MutexGuard<'_, u64> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_take(&self, bytes: u64) -> bool {
        let mut taken = self.taken();
        let fits = taken.saturating_add(bytes) <= self.bytes_max;
        *taken += if fits { bytes } else { 0 };
        fits
    }

    /// Takes what is on the disk already, also if it is more than may be.
    pub(crate) fn taken_already(self: &Arc<Self>, bytes: u64) -> Reserved {
        *self.taken() += bytes;
        Reserved { room: Some(Arc::clone(self)), bytes }
    }
}

impl Reserved {
    /// Nothing of this room yet.
    pub(crate) fn of(room: Option<Arc<Room>>) -> Self {
        Self { room, bytes: 0 }
    }

    /// Takes more; waits a little if there is no room. If there is none then, gives how much there may be in all.
    pub(crate) async fn grow(&mut self, bytes: u64) -> Result<(), u64> {
        let Some(room) = &self.room else { return Ok(()) };
        let taking = async {
            loop {
                let freed = room.freed.notified();
                if room.try_take(bytes) {
                    return;
                }
                freed.await;
            }
        };
        // What never fits is not waited for.
        if bytes > room.bytes_max || tokio::time::timeout(WAIT_MAX, taking).await.is_err() {
            return Err(room.bytes_max);
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(room) = &self.room {
            *room.taken() -= self.bytes;
            room.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_waits_for_it_but_not_for_ever() {
        let room = Arc::new(Room::new(10));
        let mut first = Reserved::of(Some(Arc::clone(&room)));
        first.grow(8).await.unwrap();
        let mut second = Reserved::of(Some(Arc::clone(&room)));
        second.grow(2).await.unwrap();
        assert_eq!(second.grow(1).await, Err(10));
        let (grown, ()) = tokio::join!(second.grow(8), async {
            tokio::task::yield_now().await;
            drop(first);
        });
        assert_eq!(grown, Ok(()));
        assert_eq!(second.grow(11).await, Err(10));
        drop(second);
        assert_eq!(*room.taken(), 0);
    }
}
