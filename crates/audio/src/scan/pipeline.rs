//! The threads of a scan and what flows between them.
//!
//! The walk's findings are handed over in batches, because a hand-over costs as much as reading a header. A gate of
//! [`IN_FLIGHT_PER_THREAD`] batches per worker bounds everything: queues, open directories, rows waiting for an earlier batch.
//! Batches are numbered by the walk and written in that order.

use super::{Report, to_line};
use crate::content::Buffers;
use crate::error::ScanError;
use crate::folder::Folder;
use crate::inspect::{HEAD, Inspector};
use crate::libritts::Speakers;
use crate::options::{Control, Options, Tier};
use crate::previous::Previous;
use crate::row::Row;
use crate::walk::{Found, Item, MAX_FOLDERS_HELD, Survey, walk};
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
    pub(super) row: Box<Row>,
    pub(super) line: Vec<u8>,
    pub(super) is_reused: bool,
}

struct Batch {
    number: u64,
    found: Vec<Found>,
}

type Results = (u64, Vec<Outcome>);

/// Walks, inspects and reports. Whether it went to the end: `false` if it was cancelled.
pub(super) fn run(
    root: &OwnedFd,
    options: &Options,
    control: &dyn Control,
    previous: &[Previous],
    speakers: &Speakers,
    survey: Survey,
    report: &mut Report,
) -> Result<bool, ScanError> {
    let threads = options.threads.get().min(MAX_THREADS);
    // Not a duplicate, which would share the place up to which the directory has been read.
    let root = crate::open::directory_at(root, b".").map_err(|errno| ScanError::Root(errno.into()))?;
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
        head: [0; HEAD],
    };
    let written = std::thread::scope(|scope| {
        let _end = CloseOnDrop(&gate);
        for _ in 0..threads {
            let (results, queue, inspector) = (results.clone(), &queue, &inspector);
            spawn(scope, "audio-inspect", move || inspect(queue, &results, &mut inspector()))?;
        }
        drop(results);
        let (gate, cancelled, batch_size) = (&gate, &cancelled, batch_size(options.tier));
        let folders = (MAX_FOLDERS_HELD / (threads * IN_FLIGHT_PER_THREAD)).max(1);
        let feed = Feed { number: 0, found: Vec::new(), files: 0, gate, batches, batch_size, folders, cancelled };
        spawn(scope, "audio-walk", move || feed.run(root, survey.found))?;
        let outcome = collect(&arrivals, gate, report, control, survey.total);
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
        Tier::Quick => 256,
        Tier::Standard => 16,
        Tier::Full => 8,
    }
}

/// The walker's side: numbers what is found and hands it on as fast as the gate allows.
struct Feed<'a> {
    number: u64,
    found: Vec<Found>,
    files: usize,
    gate: &'a Gate,
    batches: Sender<Batch>,
    /// Files of a full batch.
    batch_size: usize,
    /// Directories of a full batch.
    folders: usize,
    cancelled: &'a (dyn Fn() -> bool + Sync),
}

impl Feed<'_> {
    fn run(mut self, root: OwnedFd, remembered: Option<Vec<Found>>) {
        let outcome = match remembered {
            Some(found) => found.into_iter().try_for_each(|found| self.take(found)),
            None => walk(root, &mut |found| self.take(found)),
        };
        // Whether it went to the end is known from the flag that stopped it.
        let _ = outcome.is_continue() && self.hand_on().is_continue();
    }

    fn take(&mut self, found: Found) -> ControlFlow<()> {
        let Found::Files(folder, mut items) = found else { return self.add(found) };
        while !items.is_empty() {
            let later = items.split_off(items.len().min(self.batch_size - self.files));
            self.files += items.len();
            self.add(Found::Files(Arc::clone(&folder), std::mem::replace(&mut items, later)))?;
        }
        ControlFlow::Continue(())
    }

    fn add(&mut self, found: Found) -> ControlFlow<()> {
        self.found.push(found);
        if self.files >= self.batch_size || self.found.len() >= self.folders {
            self.hand_on()
        } else {
            ControlFlow::Continue(())
        }
    }

    fn hand_on(&mut self) -> ControlFlow<()> {
        let (found, number) = (std::mem::take(&mut self.found), self.number);
        self.files = 0;
        self.number += 1;
        let is_sent = !(self.cancelled)() && self.gate.enter() && self.batches.send(Batch { number, found }).is_ok();
        if is_sent { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

/// A worker: takes batches until there are no more.
fn inspect(queue: &Mutex<Receiver<Batch>>, results: &Sender<Results>, inspector: &mut Inspector<'_>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = next else { return };
        let outcomes = batch.found.into_iter().map(|found| match found {
            Found::Files(folder, items) => Outcome::Rows(files(&folder, &items, inspector)),
            Found::Orphans(stems) => Outcome::Orphans(stems),
            Found::Closed(folder) => Outcome::Closed(folder),
            Found::Fault(path, code) => Outcome::Fault(path, code),
        });
        if results.send((batch.number, outcomes.collect())).is_err() {
            return;
        }
    }
}

fn files(folder: &Folder, items: &[Item], inspector: &mut Inspector<'_>) -> Vec<Done> {
    let mut rows = Vec::with_capacity(items.len());
    for item in items {
        if (inspector.cancelled)() {
            break;
        }
        // Cancelled in the middle of a file: its row would say too little.
        let Ok(inspected) = inspector.inspect(folder, item) else { break };
        let line = to_line(&inspected.row);
        rows.push(Done { row: inspected.row, line, is_reused: inspected.is_reused });
    }
    rows
}

/// The caller's side: puts arrivals in order and reports them.
fn collect(
    arrivals: &Receiver<Results>,
    gate: &Gate,
    report: &mut Report,
    control: &dyn Control,
    total: u64,
) -> Result<(), ScanError> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for (number, outcomes) in arrivals {
        waiting.insert(number, outcomes);
        while let Some(outcomes) = waiting.remove(&next) {
            next += 1;
            gate.leave();
            for outcome in outcomes {
                report.take(outcome)?;
            }
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
