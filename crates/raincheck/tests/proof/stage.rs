//! Clients that go on while the server dies and comes back somewhere else.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::http::{Answer, Http};

/// Where the server is now, and whether the clients should go on.
pub(crate) struct Stage {
    address: Mutex<Option<SocketAddr>>,
    moved: Condvar,
    over: AtomicBool,
    /// Requests that were sent and not answered, or answered as unknown.
    pub(crate) unanswered: AtomicUsize,
}

/// Ends the clients, whatever becomes of the test.
pub(crate) struct Curtain<'a>(&'a Stage);

impl Drop for Curtain<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}

impl Stage {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address: Mutex::new(Some(address)),
            moved: Condvar::new(),
            over: AtomicBool::new(false),
            unanswered: AtomicUsize::new(0),
        }
    }

    pub(crate) fn curtain(&self) -> Curtain<'_> {
        Curtain(self)
    }

    /// The server is gone.
    pub(crate) fn gone(&self) {
        *self.address.lock().expect("lock") = None;
    }

    /// The server is here now.
    pub(crate) fn here(&self, address: SocketAddr) {
        *self.address.lock().expect("lock") = Some(address);
        self.moved.notify_all();
    }

    pub(crate) fn finish(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.moved.notify_all();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Where the server is, once it is somewhere; `None` if it does not come back.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let address = self.address.lock().expect("lock");
        let wait = self.moved.wait_timeout_while(address, Duration::from_secs(20), |address| address.is_none());
        *wait.expect("lock").0
    }
}

/// A client that keeps asking until it has an answer that says what became of its request.
pub(crate) struct Client<'a> {
    stage: &'a Stage,
    http: Option<Http>,
    /// How often it had to ask again.
    pub(crate) retries: usize,
}

impl<'a> Client<'a> {
    pub(crate) fn new(stage: &'a Stage) -> Self {
        Self { stage, http: None, retries: 0 }
    }

    /// Submits under a key until that is answered for certain.
    pub(crate) fn submit(&mut self, key: &str, body: &str) -> Answer {
        self.certain(|http| http.submit(key, body))
    }

    /// Asks until the answer is neither lost nor "unknown" nor "come back later".
    pub(crate) fn certain(&mut self, mut ask: impl FnMut(&mut Http) -> std::io::Result<Answer>) -> Answer {
        loop {
            match self.once(&mut ask) {
                Ok(answer) if answer.status != 503 && answer.outcome() != "unknown" => return answer,
                // Not sent, so not unanswered: there was nobody to send it to.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Ok(_) | Err(_) => {
                    self.http = None;
                    self.retries += 1;
                    self.stage.unanswered.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Asks once, over the connection that is there or a new one.
    pub(crate) fn once(&mut self, ask: impl FnOnce(&mut Http) -> std::io::Result<Answer>) -> std::io::Result<Answer> {
        let http = match &mut self.http {
            Some(http) => http,
            none => {
                let address = self.stage.address().expect("the server comes back");
                none.insert(Http::connect(address)?)
            }
        };
        let answer = ask(http);
        if answer.is_err() {
            self.http = None;
        }
        answer
    }
}
