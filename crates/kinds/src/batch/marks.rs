use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use raincheck_engine::Failure;
use raincheck_upstream::CallFailure;
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

use super::broken;
use crate::once::{Marks, ambiguous};

/// Which lines of a batch were sent and not answered, of those that must not be sent twice: a file beside the journal, with the
/// number of a line behind `?` when it is about to be sent and behind `!` when it was refused. Steps of the job would be too
/// many. What was written when the server died is cut off.
pub(super) struct Sent(Mutex<Inner>);

struct Inner {
    path: PathBuf,
    /// Made when there is something to write.
    file: Option<File>,
    open: BTreeSet<usize>,
}

impl Sent {
    /// Opens the file, with what an earlier attempt has written.
    pub(super) async fn open(path: PathBuf) -> io::Result<Self> {
        let text = match fs::read(&path).await {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut open = BTreeSet::new();
        for line in String::from_utf8_lossy(&text[..whole]).lines() {
            let Some((number, is_sent)) = read(line) else { continue };
            if is_sent {
                open.insert(number)
            } else {
                open.remove(&number)
            };
        }
        let file = if text.is_empty() {
            None
        } else {
            let file = File::options().append(true).open(&path).await?;
            file.set_len(whole as u64).await?;
            Some(file)
        };
        Ok(Self(Mutex::new(Inner { path, file, open })))
    }

    /// The marks of a line.
    pub(super) fn of(&self, line: usize) -> LineMarks<'_> {
        LineMarks { sent: self, line }
    }

    pub(super) async fn remove(self) -> io::Result<()> {
        let Inner { path, file, .. } = self.0.into_inner();
        if file.is_some() { fs::remove_file(path).await } else { Ok(()) }
    }
}

fn read(line: &str) -> Option<(usize, bool)> {
    let (sign, number) = line.split_at_checked(1)?;
    Some((number.parse().ok()?, sign == "?"))
}

impl Inner {
    async fn write(&mut self, sign: char, line: usize) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let file = File::options().create(true).append(true).open(&self.path).await?;
                // That there is such a file has to be durable too.
                if let Some(directory) = self.path.parent() {
                    File::open(directory).await?.sync_all().await?;
                }
                none.insert(file)
            }
        };
        file.write_all(format!("{sign}{line}\n").as_bytes()).await?;
        file.flush().await?;
        file.sync_data().await
    }
}

/// The marks of one line.
pub(super) struct LineMarks<'a> {
    sent: &'a Sent,
    line: usize,
}

impl LineMarks<'_> {
    /// Whether the line was sent and nobody knows what came of it.
    pub(super) async fn is_open(&self) -> bool {
        self.sent.0.lock().await.open.contains(&self.line)
    }
}

#[async_trait]
impl Marks for LineMarks<'_> {
    async fn sent(&self, upstream: &str) -> Result<(), Failure> {
        let mut sent = self.sent.0.lock().await;
        if !sent.open.insert(self.line) {
            return Err(ambiguous(&format!("an earlier attempt asked {upstream} and ended before the answer came")));
        }
        sent.write('?', self.line).await.map_err(broken)
    }

    async fn refused(&self, _: &CallFailure) -> Result<(), Failure> {
        let mut sent = self.sent.0.lock().await;
        sent.write('!', self.line).await.map_err(broken)?;
        sent.open.remove(&self.line);
        Ok(())
    }
}

/// Where the marks of a journal are.
pub(super) fn beside(journal: &Path) -> PathBuf {
    journal.with_extension("sent")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_sent_is_known_until_it_is_refused_and_half_a_mark_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("one.sent");
        let sent = Sent::open(path.clone()).await.unwrap();
        assert!(!path.exists());
        for line in [3, 14] {
            sent.of(line).sent("sim").await.unwrap();
        }
        sent.of(3).refused(&CallFailure::malformed(String::new())).await.unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], b"?1"].concat()).unwrap();
        let sent = Sent::open(path.clone()).await.unwrap();
        assert_eq!(
            (sent.of(1).is_open().await, sent.of(3).is_open().await, sent.of(14).is_open().await),
            (false, false, true)
        );
        sent.of(3).sent("sim").await.unwrap();
        assert!(sent.of(14).sent("sim").await.is_err());
        assert!(Sent::open(path.clone()).await.unwrap().of(3).is_open().await);
        sent.remove().await.unwrap();
        assert!(!path.exists());
    }
}
