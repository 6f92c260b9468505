//! The server under test: the real binary, in a process of its own, on a directory of its own. And what it is measured with
//! and beside: the simulator, and other programs.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::failure::Fallible;
use crate::http::{Connection, get};
use crate::proc;

/// A running server. Killed when it is dropped, with all that it started.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts `raincheck serve` on a data directory, with these settings in its environment, and waits until it listens.
    pub(crate) async fn start(data: &Path, settings: &[(&str, &str)]) -> Fallible<Self> {
        let mut command = Command::new(binary()?);
        command.arg("serve").arg("--data-dir").arg(data).args(["--listen", "127.0.0.1:0"]);
        Self::spawn(&mut command, settings).await
    }

    /// Starts `raincheck serve` on a data directory, with a configuration file.
    pub(crate) async fn start_configured(data: &Path, config: &Path) -> Fallible<Self> {
        let mut command = Command::new(binary()?);
        command.arg("serve").arg("--data-dir").arg(data).args(["--listen", "127.0.0.1:0"]).arg("--config").arg(config);
        Self::spawn(&mut command, &[]).await
    }

    /// Makes a key that allows to submit jobs and to call upstreams, on a data directory.
    pub(crate) async fn key(data: &Path) -> Fallible<String> {
        let mut command = Command::new(binary()?);
        command.args(["key", "create", "--scope", "submit", "--data-dir"]).arg(data).kill_on_drop(true);
        let output = command.env_remove(BINARY).current_dir(std::env::temp_dir()).output().await?;
        let made: Value = serde_json::from_slice(&output.stdout)
            .map_err(|_| format!("no key was made: {}", String::from_utf8_lossy(&output.stderr)))?;
        Ok(made["key"].as_str().ok_or("a key without a key")?.to_owned())
    }

    /// Starts `raincheck simulate` with a configuration file.
    pub(crate) async fn simulate(config: &Path) -> Fallible<Self> {
        let mut command = Command::new(binary()?);
        command.args(["simulate", "--listen", "127.0.0.1:0"]).arg("--config").arg(config);
        Self::spawn(&mut command, &[]).await
    }

    /// Starts another program that will listen on `address`, and waits until it answers a `GET` of `path`. What it says goes to
    /// the file `log`.
    pub(crate) async fn start_other(
        command: &mut Command,
        address: SocketAddr,
        path: &str,
        log: &Path,
    ) -> Fallible<Self> {
        const PATIENCE: Duration = Duration::from_secs(120);
        const LOOK_EVERY: Duration = Duration::from_millis(100);
        let out = File::create(log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let mut server = Self { child: command.spawn()?, address };
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("it ended with {status}: {}", last_words(log)).into());
            }
            if let Ok(mut connection) = Connection::open(address).await
                && let Ok(answer) = connection.ask(&get(path, "")).await
                && answer.status == 200
            {
                return Ok(server);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(format!("it did not answer within {} s: {}", PATIENCE.as_secs(), last_words(log)).into())
    }

    /// Starts the stand-in, which is the same server put together without the command line: see [`crate::stand_in`].
    pub(crate) async fn start_stand_in(data: &Path, store: &str, settings: &[(&str, &str)]) -> Fallible<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["stand-in", store]).arg(data);
        Self::spawn(&mut command, settings).await
    }

    async fn spawn(command: &mut Command, settings: &[(&str, &str)]) -> Fallible<Self> {
        command.envs(ROOMY.iter().chain(settings).copied()).env_remove(BINARY);
        // Away from any configuration that may lie about.
        command.current_dir(std::env::temp_dir()).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let out = child.stdout.take().ok_or("the server has no standard output")?;
        let mut lines = BufReader::new(out).lines();
        while let Some(line) = lines.next_line().await? {
            if let Some(address) = line.strip_prefix("listening on http://") {
                return Ok(Self { address: address.trim().parse()?, child });
            }
        }
        Err(format!("the server did not start: {}", child.wait().await?).into())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// The memory that it and all that it started have, in bytes.
    pub(crate) fn resident_bytes(&self) -> Fallible<f64> {
        proc::family(self.pid()).into_iter().map(proc::resident_bytes).sum()
    }

    /// How long it and all that it started have computed, in seconds.
    pub(crate) fn cpu_seconds(&self) -> Fallible<f64> {
        proc::family(self.pid()).into_iter().map(proc::cpu_seconds).sum()
    }

    /// Ends it as a crash would: SIGKILL.
    pub(crate) async fn kill(mut self) -> Fallible<()> {
        Ok(self.child.kill().await?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for pid in self.child.id().map(proc::family).into_iter().flatten() {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            // One that has ended meanwhile is none the less gone.
            let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
        }
    }
}

/// The end of what a program said, in one line.
fn last_words(log: &Path) -> String {
    const LENGTH: usize = 600;
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let start = text.ceil_char_boundary(text.len().saturating_sub(LENGTH));
    text[start..].split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Quotas that are not what is measured.
const ROOMY: &[(&str, &str)] = &[
    ("RAINCHECK_LIMITS_WAITING_PER_TENANT", "100000000"),
    ("RAINCHECK_LIMITS_WAITING", "100000000"),
    ("RAINCHECK_LIMITS_IDEMPOTENCY_KEYS", "100000000"),
    ("RAINCHECK_LOG_LEVEL", "warn"),
];

/// Names the server's binary; `cargo xtask bench` sets it.
const BINARY: &str = "RAINCHECK_BIN";

/// The server's binary: what [`BINARY`] names, or the one beside this one.
fn binary() -> Fallible<PathBuf> {
    let named = std::env::var_os(BINARY).map(PathBuf::from);
    let beside = || std::env::current_exe().map(|here| here.with_file_name("raincheck"));
    let binary = named.map_or_else(beside, Ok)?;
    if binary.exists() { Ok(binary) } else { Err(format!("{} is missing: build it first", binary.display()).into()) }
}
