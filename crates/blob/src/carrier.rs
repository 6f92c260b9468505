//! What brings contents to the bucket and removes them from it, in the background: whoever stores or removes a file never waits
//! for the bucket, and a bucket that is down for an hour is an hour late and nothing else.

use std::io;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::fs::{self, File};
use tokio::time::Instant;

use crate::Blobs;
use crate::blobs::{Remote, absent_is_fine};
use crate::contents::Key;
use crate::trouble::Trouble;

/// So many contents are under way at once, each with one part in memory.
const AT_ONCE: usize = 4;
/// How long it is waited after a failure, twice as long after each that follows.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What is to be done with a content.
enum Task {
    Send(File, u64),
    Remove,
    Nothing,
}

impl Blobs {
    /// Keeps the bucket as it should be, for as long as this is polled; never ends. Without a bucket it has nothing to do. To be
    /// run once at a time.
    pub async fn carry(&self) {
        let Some(remote) = self.remote() else { return std::future::pending().await };
        let mut under_way = FuturesUnordered::new();
        let (mut failures, mut pause_until) = (0_u32, Instant::now());
        loop {
            while under_way.len() < AT_ONCE && Instant::now() >= pause_until {
                let Some(key) = remote.due.take() else { break };
                under_way.push(async { (self.settle(remote, &key).await, key) });
            }
            let is_paused = Instant::now() < pause_until;
            tokio::select! {
                Some((settled, key)) = under_way.next() => match settled {
                    Ok(()) => {
                        remote.due.put_back(&key, false);
                        if failures > 0 {
                            tracing::info!("the bucket of the files takes them again");
                        }
                        failures = 0;
                    }
                    Err(error) => {
                        remote.due.put_back(&key, true);
                        let pause = PAUSE.saturating_mul(1 << failures.min(16)).min(PAUSE_MAX);
                        (failures, pause_until) = (failures + 1, Instant::now() + pause);
                        let waiting = remote.due.len();
                        tracing::warn!(%error, waiting, retry_in = ?pause, "files cannot be brought to or removed from their bucket; they wait here");
                    }
                },
                () = tokio::time::sleep_until(pause_until), if is_paused => {}
                () = remote.due.changed(), if !is_paused => {}
            }
        }
    }

    /// Does with a content what is to be done, until there is nothing.
    async fn settle(&self, remote: &Remote, key: &Key) -> Result<(), Trouble> {
        let sending = key.sending(self.root());
        loop {
            let task = self.task(key).await.map_err(|error| on_disk(&error))?;
            match task {
                Task::Nothing => return Ok(()),
                Task::Send(file, bytes) => {
                    remote.bucket.put(key, file, bytes, &sending).await?;
                    let _turn = self.turn(key).await;
                    // If nothing refers to it any more, the next round removes it.
                    if self.is_referenced(key) {
                        self.clear(remote, key).await.map_err(|error| on_disk(&error))?;
                    }
                }
                Task::Remove => {
                    remote.bucket.delete(key, &sending).await?;
                    let _turn = self.turn(key).await;
                    // Whoever has put it here meanwhile has it sent by the next round.
                    absent_is_fine(fs::remove_file(key.gone(self.root())).await).map_err(|error| on_disk(&error))?;
                }
            }
        }
    }

    async fn task(&self, key: &Key) -> io::Result<Task> {
        let _turn = self.turn(key).await;
        let is_referenced = self.is_referenced(key);
        match File::open(key.bytes(self.root())).await {
            Ok(file) if is_referenced => {
                let bytes = file.metadata().await?.len();
                return Ok(Task::Send(file, bytes));
            }
            Ok(_) => self.drop_bytes(key).await?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let is_gone = fs::try_exists(key.gone(self.root())).await?;
        Ok(if is_gone && !is_referenced { Task::Remove } else { Task::Nothing })
    }

    /// The bucket has it: what stands here of it can go.
    async fn clear(&self, remote: &Remote, key: &Key) -> io::Result<()> {
        absent_is_fine(fs::remove_file(key.gone(self.root())).await)?;
        absent_is_fine(fs::remove_file(key.bytes(self.root())).await)?;
        remote.due.free(key);
        Ok(())
    }
}

fn on_disk(error: &io::Error) -> Trouble {
    Trouble::odd(format!("the data directory: {error}"))
}
