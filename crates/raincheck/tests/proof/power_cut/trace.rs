//! Reads what strace wrote: the writes and syncs of the database's files, and what clients were told.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

/// The files that hold what must not be lost. The third of SQLite's, `-shm`, is made anew by whoever opens the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    Database,
    Wal,
}

impl Name {
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Database => "raincheck.db",
            Self::Wal => "raincheck.db-wal",
        }
    }

    fn of(path: &Path, data: &Path) -> Option<Self> {
        let name = path.strip_prefix(data).ok()?.to_str()?;
        [Self::Database, Self::Wal].into_iter().find(|known| known.file() == name)
    }
}

/// Something that happened, in order.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// A file was made.
    Create(Name),
    /// Bytes were written at an offset.
    Write(Name, usize, Arc<[u8]>),
    /// A file was cut off or extended.
    Resize(Name, usize),
    /// A sync began: what was written before it will be on the disk when it has ended.
    SyncBegun(Name),
    /// The sync that began last has ended well.
    SyncEnded(Name),
    /// The directory was synced.
    DirectorySynced,
    /// A client was told something about a job.
    Told(Told),
}

/// What a client was told about a job.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) cancel_requested: bool,
}

/// What a file descriptor stands for.
#[derive(Clone, Copy)]
enum Open {
    File(Name),
    Directory,
}

/// Reads the trace of one life of a server.
pub(super) struct Reader<'a> {
    data: &'a Path,
    /// What exists, from one life to the next.
    exists: &'a mut BTreeMap<Name, ()>,
    open: HashMap<u32, Open>,
    sent: HashMap<u32, Vec<u8>>,
    /// Calls that have begun and not ended, by thread.
    begun: HashMap<String, String>,
    ops: Vec<Op>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(data: &'a Path, exists: &'a mut BTreeMap<Name, ()>) -> Self {
        let (open, sent, begun) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { data, exists, open, sent, begun, ops: Vec::new() }
    }

    pub(super) fn read(mut self, trace: &str) -> Vec<Op> {
        let mut cut_short = Vec::new();
        for line in trace.lines() {
            let Some((thread, rest)) = line.split_once(' ') else { continue };
            let rest = rest.trim_start();
            if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
                self.begins(begun);
                self.begun.insert(thread.to_owned(), begun.to_owned());
            } else if let Some(resumed) = rest.strip_prefix("<... ") {
                let Some(begun) = self.begun.remove(thread) else { continue };
                let rest = resumed.split_once(" resumed>").map_or("", |(_, rest)| rest);
                if rest.trim_end().ends_with("= ?") {
                    cut_short.push(begun);
                } else {
                    self.ends(&format!("{begun}{rest}"));
                }
            } else if rest.contains('(') && !rest.starts_with(['+', '-']) {
                self.begins(rest);
                self.ends(rest);
            }
        }
        cut_short.extend(std::mem::take(&mut self.begun).into_values());
        cut_short.iter().for_each(|call| self.cut_short(call));
        self.ops
    }

    /// A kill fell into this call. Whether it still wrote, the file tells.
    fn cut_short(&mut self, call: &str) {
        let Some((name @ ("pwrite64" | "ftruncate"), arguments)) = call.split_once('(') else { return };
        let Some(Open::File(file)) = leading_number(arguments).and_then(|fd| self.open.get(&fd).copied()) else {
            return;
        };
        let there = std::fs::read(self.data.join(file.file())).expect("read the file");
        let Some(last) = arguments.trim_end_matches(')').rsplit(", ").next().and_then(|last| last.parse().ok()) else {
            return;
        };
        let bytes = strings(arguments).concat();
        match name {
            "ftruncate" if there.len() == last => self.ops.push(Op::Resize(file, last)),
            "pwrite64" if there.get(last..last + bytes.len()) == Some(&bytes) => {
                self.ops.push(Op::Write(file, last, bytes.into()));
            }
            _ => {}
        }
    }

    /// A sync may cover only what was written before it; what is sent may arrive from now on.
    fn begins(&mut self, call: &str) {
        let Some((name, arguments)) = call.split_once('(') else { return };
        let Some(fd) = leading_number(arguments) else { return };
        match (name, self.open.get(&fd)) {
            ("fsync" | "fdatasync", Some(Open::File(name))) => self.ops.push(Op::SyncBegun(*name)),
            ("write" | "writev" | "sendto" | "sendmsg", None) => {
                let bytes = strings(arguments).concat();
                self.told(fd, &bytes);
            }
            _ => {}
        }
    }

    fn ends(&mut self, call: &str) {
        let Some((call, result)) = call.rsplit_once(" = ") else { return };
        let result = result.split(' ').next().unwrap_or_default();
        let Some((name, arguments)) = call.split_once('(') else { return };
        let arguments = arguments.trim_end().trim_end_matches(')');
        if result == "?" {
            return self.cut_short(call);
        }
        if result.starts_with('-') {
            return;
        }
        if name == "openat" {
            return self.opened(arguments, result);
        }
        let Some(fd) = leading_number(arguments) else {
            assert!(!self.touches_ours(arguments), "the model knows nothing of {name}({arguments})");
            return;
        };
        if name == "close" {
            self.open.remove(&fd);
            self.sent.remove(&fd);
            return;
        }
        let last = || arguments.rsplit(", ").next().and_then(|text| text.parse().ok()).expect("a number");
        match (name, self.open.get(&fd).copied()) {
            (_, None) => {}
            ("pwrite64", Some(Open::File(file))) => {
                let bytes = strings(arguments).concat();
                assert_eq!(result.parse(), Ok(bytes.len()), "a write that was cut short in the trace or on the disk");
                self.ops.push(Op::Write(file, last(), bytes.into()));
            }
            ("ftruncate", Some(Open::File(file))) => self.ops.push(Op::Resize(file, last())),
            ("fsync" | "fdatasync", Some(Open::File(file))) => self.ops.push(Op::SyncEnded(file)),
            ("fsync" | "fdatasync", Some(Open::Directory)) => self.ops.push(Op::DirectorySynced),
            _ => panic!("the model knows nothing of {name} on a file of the database"),
        }
    }

    fn opened(&mut self, arguments: &str, result: &str) {
        let path = strings(arguments).first().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let (Some(path), Ok(fd)) = (path, result.parse()) else { return };
        let path = Path::new(&path);
        self.open.remove(&fd);
        if path == self.data {
            self.open.insert(fd, Open::Directory);
        } else if let Some(name) = Name::of(path, self.data) {
            assert!(!arguments.contains("O_TRUNC"), "the model knows nothing of O_TRUNC");
            if arguments.contains("O_CREAT") && self.exists.insert(name, ()).is_none() {
                self.ops.push(Op::Create(name));
            }
            self.open.insert(fd, Open::File(name));
        }
    }

    /// Whether a call by path (unlink, rename) is about one of our files.
    fn touches_ours(&self, arguments: &str) -> bool {
        strings(arguments)
            .iter()
            .any(|bytes| Name::of(Path::new(&*String::from_utf8_lossy(bytes)), self.data).is_some())
    }

    /// Collects what is sent to a client until it is a whole answer, and notes what that says.
    fn told(&mut self, fd: u32, bytes: &[u8]) {
        let sent = self.sent.entry(fd).or_default();
        sent.extend_from_slice(bytes);
        while let Some((length, body)) = answer(sent) {
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            if let (Some(id), Some(state)) = (body["id"].as_str(), body["state"].as_str()) {
                let cancel_requested = body["cancel_requested"] == true;
                self.ops.push(Op::Told(Told { id: id.to_owned(), state: state.to_owned(), cancel_requested }));
            }
            sent.drain(..length);
        }
        if !sent.starts_with(b"HTTP/1.1 ") {
            sent.clear();
        }
    }
}

/// The first whole answer in what was sent: how long it is, and its body.
fn answer(sent: &[u8]) -> Option<(usize, Vec<u8>)> {
    let head = sent.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&sent[..head]).ok().filter(|text| text.starts_with("HTTP/1.1 "))?;
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok())?;
    let body = sent.get(head..head + length)?;
    Some((head + length, body.to_vec()))
}

fn leading_number(arguments: &str) -> Option<u32> {
    let digits = arguments.find(|c: char| !c.is_ascii_digit()).unwrap_or(arguments.len());
    arguments[..digits].parse().ok()
}

/// The bytes of every string among the arguments, which strace wrote as `"\x41\x42"`.
fn strings(arguments: &str) -> Vec<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => byte - b'0',
        _ => byte - b'a' + 10,
    };
    let quoted = arguments.split('"').skip(1).step_by(2);
    quoted
        .map(|text| text.as_bytes().chunks_exact(4).map(|four| digit(four[2]) << 4 | digit(four[3])).collect())
        .collect()
}
