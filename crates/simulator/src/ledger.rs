//! The account book: what was asked of the simulator, what it did, and what a provider would have billed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::config::Dialect;
use crate::limiter::Usage;

/// Idempotency keys that are counted by themselves; later ones are only counted together.
pub const LEDGER_KEYS_MAX: usize = 100_000;
/// What is kept of an idempotency key.
pub const KEY_BYTES_MAX: usize = 256;

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Requests for work that came in.
    pub received: u64,
    /// Of those, refused before any work: by a fault, a limit, or because they were wrong.
    pub refused: u64,
    /// Of those refused, the ones that were over a limit.
    pub breaches: u64,
    /// Work begun.
    pub executions: u64,
    /// Work done to its end.
    pub completed: u64,
    /// Work that failed by itself.
    pub failed: u64,
    /// Work ended because whoever waited for it went away or was cut off.
    pub aborted: u64,
    /// Work ended because it was asked to.
    pub cancelled: u64,
    /// Answers given again to a key that was answered before.
    pub replayed: u64,
    /// Files taken.
    pub uploads: u64,
    /// Tokens read, of work begun.
    pub input_tokens: u64,
    /// Tokens written: all of work done, those that were sent of what was cut short.
    pub output_tokens: u64,
    /// Work under way now.
    pub under_way: u64,
    /// Work under way at once, at most.
    pub under_way_peak: u64,
}

/// The whole book, as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Everything.
    pub total: Tally,
    /// By dialect.
    pub dialects: BTreeMap<Dialect, Tally>,
    /// By idempotency key, of the requests that had one.
    pub keys: BTreeMap<String, Tally>,
    /// Requests whose key is not counted by itself, for there are too many.
    pub keys_left_out: u64,
    /// By dialect and model, how near the limits came.
    pub limits: Vec<Usage>,
}

/// Where it is written. Locked only to add numbers, never across a wait.
#[derive(Debug, Default)]
pub(crate) struct Book(Mutex<Ledger>);

/// Whom an entry is about.
#[derive(Clone, Debug)]
pub(crate) struct Whose {
    pub(crate) dialect: Dialect,
    pub(crate) key: Option<Arc<str>>,
}

impl Book {
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the tallies that it concerns.
    pub(crate) fn note(&self, whose: &Whose, change: impl Fn(&mut Tally)) {
        let mut book = self.lock();
        change(&mut book.total);
        change(book.dialects.entry(whose.dialect).or_default());
        if let Some(key) = whose.key.as_deref() {
            if book.keys.contains_key(key) || book.keys.len() < LEDGER_KEYS_MAX {
                change(book.keys.entry(key.to_owned()).or_default());
            } else {
                book.keys_left_out += 1;
            }
        }
    }

    pub(crate) fn read(&self) -> Ledger {
        self.lock().clone()
    }

    /// Begins anew; work under way stays counted as such.
    pub(crate) fn reset(&self) {
        let mut book = self.lock();
        let fresh =
            |tally: &Tally| Tally { under_way: tally.under_way, under_way_peak: tally.under_way, ..Tally::default() };
        book.total = fresh(&book.total);
        for tally in book.dialects.values_mut() {
            *tally = fresh(tally);
        }
        book.keys.retain(|_, tally| tally.under_way > 0);
        for tally in book.keys.values_mut() {
            *tally = fresh(tally);
        }
        book.keys_left_out = 0;
    }
}

/// How work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    Failed,
    Aborted,
    Cancelled,
}

/// Work under way. If it is dropped without a word, whoever waited for it went away.
#[derive(Debug)]
pub(crate) struct Execution {
    book: Arc<Book>,
    whose: Whose,
    output_tokens: u64,
    ended: bool,
}

impl Execution {
    /// Work begins, and what it reads is billed.
    pub(crate) fn begin(book: Arc<Book>, whose: Whose, input_tokens: u64) -> Self {
        book.note(&whose, |tally| {
            tally.executions += 1;
            tally.input_tokens += input_tokens;
            tally.under_way += 1;
            tally.under_way_peak = tally.under_way_peak.max(tally.under_way);
        });
        Self { book, whose, output_tokens: 0, ended: false }
    }

    /// So much has been written in all.
    pub(crate) fn wrote(&mut self, output_tokens: u64) {
        self.output_tokens = output_tokens;
    }

    /// Work ends; what it wrote is billed.
    pub(crate) fn end(&mut self, end: End) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let output_tokens = self.output_tokens;
        self.book.note(&self.whose, |tally| {
            tally.under_way = tally.under_way.saturating_sub(1);
            tally.output_tokens += output_tokens;
            match end {
                End::Completed => tally.completed += 1,
                End::Failed => tally.failed += 1,
                End::Aborted => tally.aborted += 1,
                End::Cancelled => tally.cancelled += 1,
            }
        });
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        self.end(End::Aborted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_nobody_ended_was_aborted() {
        let book = Arc::new(Book::default());
        let whose = Whose { dialect: Dialect::Openai, key: Some("k".into()) };
        let mut done = Execution::begin(Arc::clone(&book), whose.clone(), 10);
        let dropped = Execution::begin(Arc::clone(&book), whose, 10);
        done.wrote(5);
        done.end(End::Completed);
        drop((done, dropped));
        let ledger = book.read();
        let expected = Tally {
            executions: 2,
            completed: 1,
            aborted: 1,
            input_tokens: 20,
            output_tokens: 5,
            under_way_peak: 2,
            ..Tally::default()
        };
        assert_eq!((ledger.total, ledger.keys["k"], ledger.dialects[&Dialect::Openai]), (expected, expected, expected));
    }
}
