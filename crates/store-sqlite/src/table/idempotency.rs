use raincheck_core::JobKey;
use raincheck_store::Idempotency;
use rusqlite::{Connection, Statement, params};

/// How many keys fit into one row, which then fits into one page.
const ENTRIES_MAX: usize = 100;
const ENTRY_LEN: usize = 40;

/// The statements on `idempotency`.
pub(crate) struct Keys<'c> {
    insert: Statement<'c>,
    find: Statement<'c>,
    update: Statement<'c>,
    expire: Statement<'c>,
    /// Those of the batch that are not in the table yet.
    pending: Vec<(JobKey, Idempotency)>,
    row: Vec<u8>,
}

impl<'c> Keys<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            insert: connection.prepare("INSERT INTO idempotency VALUES (?1, ?2, ?3)")?,
            find: connection
                .prepare("SELECT first, entries FROM idempotency WHERE first <= ?1 ORDER BY first DESC LIMIT 1")?,
            update: connection.prepare("UPDATE idempotency SET entries = ?2 WHERE first = ?1")?,
            expire: connection.prepare("DELETE FROM idempotency WHERE first <= ?1 AND last <= ?1")?,
            pending: Vec::new(),
            row: Vec::new(),
        })
    }

    /// Notes a key; [`Keys::flush`] writes it.
    pub(crate) fn push(&mut self, job: JobKey, idempotency: Idempotency) {
        self.pending.push((job, idempotency));
    }

    /// Writes the keys that were noted.
    pub(crate) fn flush(&mut self) -> rusqlite::Result<()> {
        for entries in self.pending.chunks(ENTRIES_MAX) {
            let (Some((first, _)), Some((last, _))) = (entries.first(), entries.last()) else { break };
            self.row.clear();
            for (job, Idempotency { key, fingerprint }) in entries {
                self.row.extend_from_slice(&job.as_i64().to_be_bytes());
                self.row.extend_from_slice(&key.to_be_bytes());
                self.row.extend_from_slice(&fingerprint.to_be_bytes());
            }
            self.insert.execute(params![first.as_i64(), last.as_i64(), self.row])?;
        }
        self.pending.clear();
        Ok(())
    }

    /// Drops the keys that were noted, because the batch is rolled back.
    pub(crate) fn discard(&mut self) {
        self.pending.clear();
    }

    /// Removes the key of a job; gives it, if it was there.
    pub(crate) fn remove(&mut self, job: JobKey) -> rusqlite::Result<Option<Idempotency>> {
        if let Some(place) = self.pending.iter().position(|(other, _)| *other == job) {
            return Ok(Some(self.pending.remove(place).1));
        }
        let mut rows = self.find.query([job.as_i64()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let (first, mut entries): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        drop(rows);
        let Some(place) = read(&entries).position(|(other, _)| other == job) else { return Ok(None) };
        let removed = read(&entries).nth(place).map(|(_, idempotency)| idempotency);
        entries.drain(place * ENTRY_LEN..(place + 1) * ENTRY_LEN);
        self.update.execute(params![first, entries])?;
        Ok(removed)
    }

    /// Removes the keys of all jobs up to this one.
    pub(crate) fn expire(&mut self, newest: JobKey) -> rusqlite::Result<()> {
        self.expire.execute([newest.as_i64()]).map(drop)
    }
}

/// The entries of a row. What is no whole entry, or has no possible job, is left out: then a repeated request makes a
/// second job, as it would after the window.
pub(crate) fn read(entries: &[u8]) -> impl Iterator<Item = (JobKey, Idempotency)> + '_ {
    let (entries, _) = entries.as_chunks::<ENTRY_LEN>();
    entries.iter().filter_map(|entry| {
        let (job, rest) = entry.split_first_chunk::<8>()?;
        let (key, fingerprint) = rest.split_first_chunk::<16>()?;
        let fingerprint = u128::from_be_bytes(fingerprint.try_into().ok()?);
        let job = JobKey::from_i64(i64::from_be_bytes(*job))?;
        Some((job, Idempotency { key: u128::from_be_bytes(*key), fingerprint }))
    })
}
