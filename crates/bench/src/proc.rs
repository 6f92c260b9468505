//! What the kernel says of a process.

use std::fs::read_to_string;

use crate::failure::Fallible;

/// How long a process has computed, in seconds, in user and kernel together. In steps of 10 ms.
pub(crate) fn cpu_seconds(pid: u32) -> Fallible<f64> {
    let stat = read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in field 2 may contain anything, but ends with the last parenthesis; fields 14 and 15 are the times.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / 100.0)
}

/// How much memory a process has, in bytes: what is resident, shared pages included.
pub(crate) fn resident_bytes(pid: u32) -> Fallible<f64> {
    let status = read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes * 1024.0)
}

/// How many files and sockets a process has open.
pub(crate) fn open_files(pid: u32) -> Fallible<usize> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// A process and all that it started, as far as they still run.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(pid) = family.get(next) {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let children = threads.filter_map(|thread| read_to_string(thread.path().join("children")).ok());
        let children: Vec<u32> = children.flat_map(|pids| pids_of(&pids)).collect();
        family.extend(children);
        next += 1;
    }
    family
}

fn pids_of(text: &str) -> Vec<u32> {
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// How many files a process may have open, and nobody can raise that.
pub(crate) fn open_files_max() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.maximum.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

/// Takes what files the kernel allows this process.
pub(crate) fn raise_open_files() -> Fallible<()> {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    Ok(rustix::process::setrlimit(rustix::process::Resource::Nofile, limit)?)
}
