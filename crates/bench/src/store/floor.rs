use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use raincheck_store::NewJob;
use tokio::sync::oneshot;

use crate::store::subject::Subject;

/// The most that a store could do: what it is given is appended to a file, one `fdatasync` for all who wait. It answers
/// through the same channels as the store, and can do nothing else.
pub(crate) struct Log {
    records: SyncSender<(Record, oneshot::Sender<()>)>,
    /// How many jobs could be claimed.
    waiting: AtomicI64,
}

enum Record {
    Accepted(Vec<NewJob>),
    /// So many jobs have changed: the bytes of a hot row each.
    Changed(usize),
}

/// About what a store must write when a job is claimed or ends.
const CHANGE: [u8; 64] = [7; 64];

impl Record {
    fn write(&self, buffer: &mut Vec<u8>) {
        match self {
            Self::Accepted(jobs) => {
                for job in jobs {
                    buffer.extend_from_slice(&CHANGE);
                    buffer.extend_from_slice(&job.random.to_le_bytes());
                    buffer.extend_from_slice(job.input.as_str().as_bytes());
                    if let Some(idempotency) = job.idempotency {
                        buffer.extend_from_slice(&idempotency.key.to_le_bytes());
                        buffer.extend_from_slice(&idempotency.fingerprint.to_le_bytes());
                    }
                }
            }
            Self::Changed(jobs) => (0..*jobs).for_each(|_| buffer.extend_from_slice(&CHANGE)),
        }
    }
}

fn serve(mut file: File, records: &Receiver<(Record, oneshot::Sender<()>)>) {
    let (mut buffer, mut callers) = (Vec::new(), Vec::new());
    while let Ok(first) = records.recv() {
        let mut next = Some(first);
        while let Some((record, caller)) = next {
            record.write(&mut buffer);
            callers.push(caller);
            next = if callers.len() < 4_096 { records.try_recv().ok() } else { None };
        }
        file.write_all(&buffer).expect("the log is written");
        file.sync_data().expect("the log is synced");
        buffer.clear();
        callers.drain(..).for_each(|caller| caller.send(()).unwrap_or_default());
    }
}

impl Log {
    async fn append(&self, record: Record) {
        let (caller, answer) = oneshot::channel();
        assert!(self.records.try_send((record, caller)).is_ok(), "the queue is long enough");
        answer.await.expect("the log answers");
    }
}

impl Subject for Log {
    type Claim = ();

    async fn open(directory: &Path) -> Self {
        let file = File::create(directory.join("log")).expect("the log is made");
        let (records, received) = sync_channel(4_096);
        std::thread::spawn(move || serve(file, &received));
        Self { records, waiting: AtomicI64::new(0) }
    }

    async fn accept(&self, jobs: Vec<NewJob>) {
        let count = i64::try_from(jobs.len()).expect("few jobs");
        self.append(Record::Accepted(jobs)).await;
        self.waiting.fetch_add(count, Ordering::Relaxed);
    }

    async fn claim(&self, max: usize) -> Vec<()> {
        let max = i64::try_from(max).expect("few jobs");
        let given = self.waiting.fetch_sub(max, Ordering::Relaxed).clamp(0, max);
        self.waiting.fetch_add(max - given, Ordering::Relaxed);
        let given = usize::try_from(given).expect("clamped");
        self.append(Record::Changed(given)).await;
        vec![(); given]
    }

    async fn finish(&self, claims: Vec<()>) {
        self.append(Record::Changed(claims.len())).await;
    }

    fn waiting(&self) -> u64 {
        u64::try_from(self.waiting.load(Ordering::Relaxed)).unwrap_or_default()
    }

    async fn close(&self) {}
}
