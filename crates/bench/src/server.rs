//! The server under test: the real binary, in a process of its own, on a directory of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::failure::Fallible;
use crate::proc;

/// A running server. Killed when it is dropped.
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

    /// Starts `raincheck simulate` with a configuration file.
    pub(crate) async fn simulate(config: &Path) -> Fallible<Self> {
        let mut command = Command::new(binary()?);
        command.args(["simulate", "--listen", "127.0.0.1:0"]).arg("--config").arg(config);
        Self::spawn(&mut command, &[]).await
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

    /// The memory that it has, in bytes.
    pub(crate) fn resident_bytes(&self) -> Fallible<f64> {
        proc::resident_bytes(self.pid())
    }

    /// How long it has computed, in seconds.
    pub(crate) fn cpu_seconds(&self) -> Fallible<f64> {
        proc::cpu_seconds(self.pid())
    }

    /// Ends it as a crash would: SIGKILL.
    pub(crate) async fn kill(mut self) -> Fallible<()> {
        Ok(self.child.kill().await?)
    }
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
