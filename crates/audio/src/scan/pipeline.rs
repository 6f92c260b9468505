//! The threads of a scan and what flows between them.
//!
//! A gate of [`IN_FLIGHT_PER_THREAD`] batches per worker bounds everything: queues, open directories, rows waiting for an
//! earlier batch. Batches are numbered by the walk and written in that order.

use super::{Report, to_line};
use crate::content::Buffers;
use crate::error::ScanError;
use crate::folder::Folder;
use crate::inspect::Inspector;
use crate::libritts::Speakers;
use crate::options::{Control, Options, Tier};
use crate::previous::Previous;
use crate::riff::WINDOW;
use crate::row::Row;
use crate::walk::{Found, Item, walk};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, Scope};

/// Batches per worker between being found and being written.
pub(crate) const IN_FLIGHT_PER_THREAD: usize = 4;

/// Workers at most, whatever is asked for.
pub(crate) const MAX_THREADS: usize = 64;

/// What arrives at the report.
pub(super) enum Outcome {
    Rows(Vec<Done>),
    Orphans(Vec<Vec<u8>>),
    Closed(Arc<Folder>),
    Fault(Vec<u8>, &'static str),
}

/// A row, ready to be written.
pub(super) struct Done {
    pub(super) row: Row,
    pub(super) line: Vec<u8>,
    pub(super) is_reused: bool,
}

struct Batch {
    number: u64,
    folder: Arc<Folder>,
    items: Vec<Item>,
}

/// Walks, inspects and reports. Whether it went to the end: `false` if it was cancelled.
pub(super) fn run(
    root: &OwnedFd,
    options: &Options,
    control: &dyn Control,
    previous: &[Previous],
    speakers: &Speakers,
    total: u64,
    report: &mut Report,
) -> Result<bool, ScanError> {
    let threads = options.threads.get().min(MAX_THREADS);
    let root = root.try_clone().map_err(ScanError::Root)?;
    let stop = AtomicBool::new(false);
    let cancelled = || {
        let now = stop.load(Ordering::Relaxed) || control.cancelled();
        if now {
            stop.store(true, Ordering::Relaxed);
        }
        now
    };
    let gate = Gate::new(threads * IN_FLIGHT_PER_THREAD);
    let (batches, queue) = channel::<Batch>();
    let (results, arrivals) = channel();
    let queue = Mutex::new(queue);
    let inspector = || Inspector {
        tier: options.tier,
        speakers,
        previous,
        cancelled: &cancelled,
        buffers: Buffers::default(),
        head: [0; WINDOW],
    };
    let written = std::thread::scope(|scope| {
        let _end = CloseOnDrop(&gate);
        for _ in 0..threads {
            let (results, queue, inspector) = (results.clone(), &queue, &inspector);
            spawn(scope, "audio-inspect", move || inspect(queue, &results, &mut inspector()))?;
        }
        let (gate, cancelled, batch_size) = (&gate, &cancelled, batch_size(options.tier));
        let feed = Feed { number: 0, gate, batches, results, batch_size, cancelled };
        spawn(scope, "audio-walk", move || feed.run(root))?;
        let outcome = collect(&arrivals, gate, report, control, total);
        if outcome.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        outcome
    });
    written?;
    Ok(!stop.load(Ordering::Relaxed))
}

fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() + Send + 'scope,
) -> Result<(), ScanError> {
    Builder::new().name(name.to_owned()).spawn_scoped(scope, work).map(drop).map_err(ScanError::Thread)
}

/// Small enough that all workers have something to do and progress is seen.
const fn batch_size(tier: Tier) -> usize {
    match tier {
        Tier::Quick => 64,
        Tier::Standard => 16,
        Tier::Full => 8,
    }
}

/// The walker's side: numbers what is found and hands it on as fast as the gate allows.
struct Feed<'a> {
    number: u64,
    gate: &'a Gate,
    batches: Sender<Batch>,
    results: Sender<(u64, Outcome)>,
    batch_size: usize,
    cancelled: &'a (dyn Fn() -> bool + Sync),
}

impl Feed<'_> {
    fn run(mut self, root: OwnedFd) {
        // Whether it went to the end is known from the flag that stopped it.
        let _ = walk(root, &mut |found| self.hand_on(found));
    }

    fn hand_on(&mut self, found: Found) -> ControlFlow<()> {
        match found {
            Found::Files(folder, items) => {
                let mut items = items.into_iter();
                loop {
                    let items: Vec<Item> = items.by_ref().take(self.batch_size).collect();
                    if items.is_empty() {
                        return ControlFlow::Continue(());
                    }
                    let number = self.next()?;
                    sent(self.batches.send(Batch { number, folder: Arc::clone(&folder), items }).is_ok())?;
                }
            }
            Found::Orphans(stems) => self.report(Outcome::Orphans(stems)),
            Found::Closed(folder) => self.report(Outcome::Closed(folder)),
            Found::Fault(path, code) => self.report(Outcome::Fault(path, code)),
        }
    }

    fn report(&mut self, outcome: Outcome) -> ControlFlow<()> {
        let number = self.next()?;
        sent(self.results.send((number, outcome)).is_ok())
    }

    fn next(&mut self) -> ControlFlow<(), u64> {
        if (self.cancelled)() || !self.gate.enter() {
            return ControlFlow::Break(());
        }
        let number = self.number;
        self.number += 1;
        ControlFlow::Continue(number)
    }
}

const fn sent(is_sent: bool) -> ControlFlow<()> {
    if is_sent { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// A worker: takes batches until there are no more.
fn inspect(queue: &Mutex<Receiver<Batch>>, results: &Sender<(u64, Outcome)>, inspector: &mut Inspector<'_>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = next else { return };
        let mut rows = Vec::with_capacity(batch.items.len());
        for item in &batch.items {
            if (inspector.cancelled)() {
                break;
            }
            // Cancelled in the middle of a file: its row would say too little.
            let Ok(inspected) = inspector.inspect(&batch.folder, item) else { break };
            let line = to_line(&inspected.row);
            rows.push(Done { row: inspected.row, line, is_reused: inspected.is_reused });
        }
        if results.send((batch.number, Outcome::Rows(rows))).is_err() {
            return;
        }
    }
}

/// The caller's side: puts arrivals in order and reports them.
fn collect(
    arrivals: &Receiver<(u64, Outcome)>,
    gate: &Gate,
    report: &mut Report,
    control: &dyn Control,
    total: u64,
) -> Result<(), ScanError> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for (number, outcome) in arrivals {
        waiting.insert(number, outcome);
        while let Some(outcome) = waiting.remove(&next) {
            next += 1;
            gate.leave();
            report.take(outcome)?;
            let done = report.tally.summary.files;
            control.progress(done, total.max(done));
        }
    }
    Ok(())
}

/// Bounds what is under way.
struct Gate {
    /// Free places, or `None` once closed.
    free: Mutex<Option<usize>>,
    changed: Condvar,
}

impl Gate {
    fn new(places: usize) -> Self {
        Self { free: Mutex::new(Some(places)), changed: Condvar::new() }
    }

    /// Waits for a place; `false` if the gate is closed.
    fn enter(&self) -> bool {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &mut *free {
                None => return false,
                Some(0) => free = self.changed.wait(free).unwrap_or_else(PoisonError::into_inner),
                Some(places) => {
                    *places -= 1;
                    return true;
                }
            }
        }
    }

    fn leave(&self) {
        if let Some(places) = &mut *self.free.lock().unwrap_or_else(PoisonError::into_inner) {
            *places += 1;
        }
        self.changed.notify_one();
    }

    fn close(&self) {
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.changed.notify_all();
    }
}

/// Lets the walker go, however the report ends.
struct CloseOnDrop<'a>(&'a Gate);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}
