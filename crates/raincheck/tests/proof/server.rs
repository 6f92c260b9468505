//! The server as a process that can be killed, stopped, continued and started again on the same directory.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::http::Http;
use super::trial::within;
use crate::support::{Place, raincheck};
use rustix::process::{Pid, Signal, kill_process};

/// How a server is started.
#[derive(Clone)]
pub(crate) struct Launch {
    data: PathBuf,
    log: PathBuf,
    settings: Vec<(String, String)>,
    wrapper: Vec<String>,
}

impl Launch {
    /// On the place's data directory.
    pub(crate) fn at(place: &Place) -> Self {
        Self { data: place.data(), log: place.log(), settings: Vec::new(), wrapper: Vec::new() }
    }

    /// With the data somewhere else.
    pub(crate) fn on(mut self, data: &Path) -> Self {
        self.data = data.to_owned();
        self
    }

    /// With a setting, by the name of its environment variable without `RAINCHECK_`.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((format!("RAINCHECK_{name}"), value.to_owned()));
        self
    }

    /// Under another program, which must become the server and keep its process id.
    pub(crate) fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(ToString::to_string).collect();
        self
    }

    /// Starts it, and waits until it listens.
    pub(crate) fn start(self) -> Server {
        let (process, address) = self.listening();
        Server { launch: self, process, address }
    }

    /// Starts a server that should refuse to; gives how it ended and what it said.
    pub(crate) fn refused(&self) -> (ExitStatus, String) {
        let mut process = Process(self.spawn());
        let status = within(Duration::from_secs(20), "the server refuses to start", || process.ended());
        (status, self.log())
    }

    /// Starts it, unless it ends with this code; then there is none.
    pub(crate) fn start_or_refusal(self, code: i32) -> Option<Server> {
        match self.try_listening() {
            Ok((process, address)) => Some(Server { launch: self, process, address }),
            Err(status) => {
                assert_eq!(status.code(), Some(code), "it logged:\n{}", self.log());
                None
            }
        }
    }

    /// What the server said on standard error in all its lives.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn listening(&self) -> (Process, SocketAddr) {
        self.try_listening()
            .unwrap_or_else(|status| panic!("the server did not start ({status}) and logged:\n{}", self.log()))
    }

    fn try_listening(&self) -> Result<(Process, SocketAddr), ExitStatus> {
        let mut process = Process(self.spawn());
        let mut first = String::new();
        let out = process.0.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut first).expect("read the server's standard output");
        let address = first.trim().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        // It closed its standard output without a word, so it is about to end.
        match address {
            Some(address) => Ok((process, address)),
            None => Err(process.wait()),
        }
    }

    /// The command, or the wrapper with the command and its environment.
    fn command(&self, arguments: &[&str]) -> Command {
        let bare = raincheck(arguments);
        let Some((wrapper, options)) = self.wrapper.split_first() else { return bare };
        let mut command = Command::new(wrapper);
        command.args(options).arg(bare.get_program()).args(bare.get_args()).stdin(Stdio::null());
        // What is to be removed from the environment is listed there without a value.
        for (name, _) in bare.get_envs().filter(|(_, value)| value.is_none()) {
            command.env_remove(name);
        }
        command
    }

    fn spawn(&self) -> Child {
        let data = self.data.to_str().expect("a plain path");
        let serve = ["serve", "--listen", "127.0.0.1:0", "--data-dir", data];
        let mut command = self.command(&serve);
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        // No raincheck.toml lies there.
        command.current_dir(self.log.parent().expect("a file has a directory"));
        let log = File::options().create(true).append(true).open(&self.log).expect("open the log");
        command.stdout(Stdio::piped()).stderr(log);
        command.spawn().unwrap_or_else(|error| panic!("failed to start {command:?}: {error}"))
    }
}

/// A process that is killed and waited for whatever becomes of the test.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Kills it, if it has not ended, and waits for it.
    pub(crate) fn kill(&mut self) -> ExitStatus {
        // It may have ended by itself.
        let _ = self.0.kill();
        self.0.wait().expect("wait for a child")
    }

    /// Waits for it to end by itself.
    fn wait(&mut self) -> ExitStatus {
        within(Duration::from_secs(30), "the process ends", || self.ended())
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("ask for a child")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("signal a child");
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A running server.
pub(crate) struct Server {
    launch: Launch,
    process: Process,
    address: SocketAddr,
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new connection.
    pub(crate) fn http(&self) -> Http {
        Http::connect(self.address).expect("connect to the server")
    }

    /// SIGKILL, as a crash: it can do nothing more.
    pub(crate) fn kill(&mut self) {
        let status = self.process.kill();
        assert_eq!(status.signal(), Some(9), "the server ended by itself ({status}) and logged:\n{}", self.log());
    }

    /// SIGTERM; waits for the orderly end.
    pub(crate) fn stop(&mut self) {
        self.process.signal(Signal::TERM);
        let status = self.wait();
        assert!(status.success(), "the server did not stop cleanly ({status}) and logged:\n{}", self.log());
    }

    /// Starts it again on the same directory.
    pub(crate) fn start_again(&mut self) -> SocketAddr {
        assert!(self.process.ended().is_some(), "it still runs");
        (self.process, self.address) = self.launch.listening();
        self.address
    }

    /// SIGSTOP: no thread of it runs until it is continued.
    pub(crate) fn pause(&self) {
        self.process.signal(Signal::STOP);
    }

    pub(crate) fn go_on(&self) {
        self.process.signal(Signal::CONT);
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.ended().is_none()
    }

    pub(crate) fn log(&self) -> String {
        self.launch.log()
    }

    pub(crate) fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// How much memory it holds, in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        crate::support::memory_kib(self.pid())
    }
}

/// A tracer that attaches to a server while it runs, to make its system calls fail.
pub(crate) struct Tracer {
    process: Process,
    /// Kept open: it goes on talking, and must not die of nobody listening.
    _said: BufReader<ChildStderr>,
}

impl Tracer {
    /// Attaches, and returns once it has: from then on the injection is in force.
    pub(crate) fn attach(server: &Server, arguments: &[&str]) -> Self {
        let mut command = Command::new("strace");
        command.args(["-f", "-o", "/dev/null"]).args(arguments);
        command.arg("-p").arg(server.pid().as_raw_nonzero().to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child =
            command.spawn().unwrap_or_else(|error| panic!("failed to start strace (apt install strace): {error}"));
        let mut process = Process(child);
        let mut said = String::new();
        let mut stderr = BufReader::new(process.0.stderr.take().expect("piped"));
        stderr.read_line(&mut said).expect("read what strace says");
        assert!(said.contains("attached"), "strace could not attach (does it run as root?): {said}");
        Self { process, _said: stderr }
    }

    /// Lets go of the server, if it still lives.
    pub(crate) fn detach(self) {
        let mut process = self.process;
        // Killed outright it could leave a thread stopped.
        let _ = kill_process(process.pid(), Signal::TERM);
        let _ = process.0.wait();
    }
}
