use std::io::{self, ErrorKind, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use raincheck_core::{JobId, Json};
use serde::Serialize;
use serde_json::json;
use tokio::fs::{self, File};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufReader};

use super::{Called, Counts};

/// What became of the lines of a batch, each on a line: its number, `+` or `-`, and its line of the output. Only added to; what
/// was written when the server died is cut off.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
    /// By line: where what became of it is, how long that is, and whether it was good.
    places: Vec<Option<Place>>,
}

#[derive(Clone, Copy)]
struct Place {
    begin: u64,
    length: usize,
    is_good: bool,
}

/// What became of a line.
pub(super) struct Entry {
    line: usize,
    pub(super) is_good: bool,
    text: String,
}

/// A line of an output file.
#[derive(Serialize)]
struct Told<'a> {
    id: String,
    custom_id: &'a str,
    response: Option<Answered<'a>>,
    error: serde_json::Value,
}

#[derive(Serialize)]
struct Answered<'a> {
    status_code: u16,
    request_id: &'a str,
    body: &'a Json,
}

impl Entry {
    pub(super) fn new(job: JobId, line: usize, custom_id: &str, called: &Called) -> Self {
        let id = format!("batch_req_{}{line:06x}", job.to_string().trim_start_matches("job_"));
        let (response, error, is_good) = match called {
            Called::Answered { status, request_id, body } => {
                (Some(Answered { status_code: *status, request_id, body }), json!(null), *status < 400)
            }
            Called::Failed { code, message } => (None, json!({ "code": code, "message": message }), false),
            Called::Unanswered { .. } | Called::Later(_) => {
                (None, json!({ "code": "not_done", "message": "it was not done" }), false)
            }
        };
        let told = serde_json::to_string(&Told { id, custom_id, response, error });
        let text = told.unwrap_or_else(|_| json!({ "custom_id": custom_id }).to_string());
        // JSON from elsewhere may be spread over lines; in JSON they mean what a space does.
        Self { line, is_good, text: text.replace(['\n', '\r'], " ") }
    }
}

impl Journal {
    /// Opens a journal, with what an earlier attempt has written.
    pub(super) async fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).truncate(false).read(true).write(true).open(path).await?;
        let mut journal = Self { path: path.to_owned(), file, length: 0, places: Vec::new() };
        let (mut lines, mut line) = (BufReader::new(File::open(path).await?), Vec::new());
        loop {
            line.clear();
            let read = lines.read_until(b'\n', &mut line).await?;
            let Some((head, number, is_good)) = entry(&line) else { break };
            let place = Place { begin: journal.length + head as u64, length: read - head - 1, is_good };
            journal.keep(number, place);
            journal.length += read as u64;
        }
        journal.file.set_len(journal.length).await?;
        journal.file.seek(SeekFrom::Start(journal.length)).await?;
        // That there is a journal has to be durable too.
        if let Some(directory) = path.parent() {
            File::open(directory).await?.sync_all().await?;
        }
        Ok(journal)
    }

    fn keep(&mut self, line: usize, place: Place) {
        if self.places.len() <= line {
            self.places.resize(line + 1, None);
        }
        self.places[line] = Some(place);
    }

    pub(super) fn has(&self, line: usize) -> bool {
        self.places.get(line).is_some_and(Option::is_some)
    }

    pub(super) fn counts(&self) -> Counts {
        let count = |is_good: bool| self.places.iter().flatten().filter(|place| place.is_good == is_good).count();
        Counts { total: 0, completed: count(true), failed: count(false) }
    }

    /// Records what became of lines: durable when this returns.
    pub(super) async fn record(&mut self, entries: &[Entry]) -> io::Result<()> {
        let mut text = String::new();
        let mut places = Vec::with_capacity(entries.len());
        for Entry { line, is_good, text: told } in entries {
            let head = format!("{line} {} ", if *is_good { '+' } else { '-' });
            let begin = self.length + (text.len() + head.len()) as u64;
            places.push((*line, Place { begin, length: told.len(), is_good: *is_good }));
            text.push_str(&head);
            text.push_str(told);
            text.push('\n');
        }
        self.file.write_all(text.as_bytes()).await?;
        self.file.flush().await?;
        self.file.sync_data().await?;
        self.length += text.len() as u64;
        places.into_iter().for_each(|(line, place)| self.keep(line, place));
        Ok(())
    }

    /// The numbers of the lines that ended well, or not, in order.
    pub(super) fn lines(&self, is_good: bool) -> Vec<usize> {
        let ended = self.places.iter().enumerate();
        ended.filter(|(_, place)| place.is_some_and(|place| place.is_good == is_good)).map(|(line, _)| line).collect()
    }

    /// What became of a line, as it stands in an output file, with a line break behind it.
    pub(super) async fn read(&mut self, line: usize) -> io::Result<Vec<u8>> {
        let place = self.places.get(line).copied().flatten().ok_or(ErrorKind::NotFound)?;
        let mut text = vec![0; place.length + 1];
        self.file.seek(SeekFrom::Start(place.begin)).await?;
        self.file.read_exact(&mut text).await?;
        Ok(text)
    }

    pub(super) async fn remove(self) -> io::Result<()> {
        fs::remove_file(self.path).await
    }
}

/// How long the head of an entry is, which line it is of, and whether that was good; `None` if it is not whole.
fn entry(line: &[u8]) -> Option<(usize, usize, bool)> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (number, rest) = text.split_once(' ')?;
    let (sign, told) = rest.split_once(' ')?;
    told.ends_with('}').then_some(())?;
    Some((line.len() - told.len() - 1, number.parse().ok()?, sign == "+"))
}

/// Makes the directory of journals, and removes those that nobody has written to for so long.
pub(super) fn sweep(directory: &Path, kept: Duration) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    for entry in std::fs::read_dir(directory)?.flatten() {
        let age = entry.metadata().and_then(|about| about.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age > kept) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(line: usize, status: u16) -> Entry {
        let job = "job_019c5a3e0f4b7c3a9d2b1f6a0e8c7d11".parse().unwrap();
        let body = Json::from_text("{\"n\":\n1.10}".into()).unwrap();
        Entry::new(job, line, &format!("id {line}"), &Called::Answered { status, request_id: "r".into(), body })
    }

    #[tokio::test]
    async fn what_was_recorded_is_there_again_and_half_a_line_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("one.log");
        let mut journal = Journal::open(&path).await.unwrap();
        journal.record(&[answer(2, 200), answer(0, 429)]).await.unwrap();
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        let torn = [&whole[..], b"1 + {\"id\":\"batch"].concat();
        std::fs::write(&path, torn).unwrap();
        let mut journal = Journal::open(&path).await.unwrap();
        assert_eq!((journal.has(0), journal.has(1), journal.has(2), journal.has(3)), (true, false, true, false));
        journal.record(&[answer(1, 200)]).await.unwrap();
        assert_eq!((journal.lines(true), journal.lines(false)), (vec![1, 2], vec![0]));
        for line in [0, 1, 2] {
            let text = String::from_utf8(journal.read(line).await.unwrap()).unwrap();
            assert!(
                text.ends_with("}\n") && text.contains(&format!("\"id {line}\"")) && text.contains("1.10"),
                "{text}"
            );
        }
        assert!(std::fs::read(&path).unwrap().starts_with(&whole));
    }
}
