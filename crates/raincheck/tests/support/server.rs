use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::{Place, Reply, get, post, raincheck};

/// A start that takes longer has failed.
const START_MAX: Duration = Duration::from_secs(30);

/// A running server. It is killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    scheme: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Kept open: a server must not be disturbed by what becomes of it.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Starts a server on the place's data directory and a free port, with these further arguments. Its log is added to
    /// [`Place::log`].
    pub(crate) fn start(place: &Place, args: &[&str]) -> Self {
        Self::start_at(place, "127.0.0.1:0", args)
    }

    /// Starts a server on this address.
    pub(crate) fn start_at(place: &Place, address: &str, args: &[&str]) -> Self {
        let data = place.data();
        let serve = ["serve", "--listen", address, "--data-dir", data.to_str().expect("a plain path")];
        Self::spawn(place, raincheck(&[&serve[..], args].concat()))
    }

    /// Starts a server with this configuration file.
    pub(crate) fn configured(place: &Place, config: &str) -> Self {
        let config = place.file("raincheck.toml", config);
        Self::start(place, &["--config", config.to_str().expect("a plain path")])
    }

    /// Starts the simulator of providers, with these further arguments.
    pub(crate) fn simulator(place: &Place, args: &[&str]) -> Self {
        let all = [&["simulate", "--listen", "127.0.0.1:0"], args].concat();
        Self::spawn(place, raincheck(&all))
    }

    /// Starts whatever command is given, which must become a server.
    pub(crate) fn spawn(place: &Place, mut command: Command) -> Self {
        command.current_dir(place.path()).stdout(Stdio::piped()).stderr(place.log_file());
        let mut child = command.spawn().expect("the server starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = stdout.read_line(&mut line);
            let _ = tell.send((read.map(|_| line), stdout));
        });
        let Ok((line, stdout)) = told.recv_timeout(START_MAX) else {
            let _ = child.kill();
            panic!("the server said nothing for {START_MAX:?}");
        };
        let line = line.expect("standard output can be read");
        let url = line.trim().strip_prefix("listening on ").and_then(|url| url.split_once("://"));
        let Some((scheme, address)) = url else {
            panic!("the server did not start: {:?}; its log says why", child.wait());
        };
        Self { child, scheme: scheme.to_owned(), address: address.parse().expect("an address"), _stdout: stdout }
    }

    /// The server's URL, for `--server`.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the server still runs");
    }

    /// Ends it at once, as a crash would (SIGKILL).
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the server can be killed");
        self.child.wait().expect("the server can be waited for");
    }

    /// Asks it to stop (SIGTERM), and waits until it has.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.child.wait().expect("the server can be waited for")
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("the server can be waited for")
    }

    /// Submits a job, and gives its id.
    pub(crate) fn submit(&self, body: &str) -> String {
        let reply = post(self.address, "/v1/jobs", body);
        assert_eq!(reply.status, 202, "{reply:?}");
        reply.json()["id"].as_str().expect("the job has an id").to_owned()
    }

    /// A job, as it is.
    pub(crate) fn job(&self, id: &str) -> serde_json::Value {
        self.get(&format!("/v1/jobs/{id}")).json()
    }

    /// A job, as soon as it has ended.
    pub(crate) fn ended(&self, id: &str) -> serde_json::Value {
        let job = self.get(&format!("/v1/jobs/{id}?wait=30")).json();
        let ended =
            ["completed", "failed", "cancelled", "expired"].contains(&job["state"].as_str().unwrap_or_default());
        assert!(ended, "the job has not ended within 30 s: {job}");
        job
    }

    /// Waits until a job runs: until its log says so.
    pub(crate) fn running(&self, id: &str) {
        super::http::read_until(self.address, &format!("/v1/jobs/{id}/events"), "event: started");
    }

    /// `GET`.
    pub(crate) fn get(&self, path: &str) -> Reply {
        get(self.address, path)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How much memory a process holds, in KiB.
pub(crate) fn memory_kib(pid: Pid) -> u64 {
    let path = format!("/proc/{}/status", pid.as_raw_nonzero());
    let status = std::fs::read_to_string(path).expect("read the process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line VmRSS");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}
