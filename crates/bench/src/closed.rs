//! A closed loop: so many clients, each of which asks again as soon as it is answered. What a server can do at most.
//!
//! An answer that was not wanted is counted as such, and its client goes on, on a new connection if it lost the old one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::failure::Fallible;
use crate::http::{Answer, Connection};
use crate::load::{Counted, Requests, Tally, Window};

/// Whether an answer is what was wanted.
pub(crate) type Wanted = Arc<dyn Fn(&Answer<'_>) -> bool + Send + Sync>;

/// Asks from `clients` connections for `length` after `warm_up`; every answer must have this status.
pub(crate) async fn load(
    address: SocketAddr,
    clients: usize,
    requests: &Requests,
    status: u16,
    times: (Duration, Duration),
) -> Fallible<Counted> {
    let wanted: Wanted = Arc::new(move |answer| answer.status == status);
    ask(address, clients, requests, &wanted, times).await?.counted()
}

/// As [`load`], but what is not wanted is only counted.
pub(crate) async fn load_with_faults(
    address: SocketAddr,
    clients: usize,
    requests: &Requests,
    wanted: &Wanted,
    times: (Duration, Duration),
) -> Fallible<Counted> {
    Ok(ask(address, clients, requests, wanted, times).await?.all())
}

async fn ask(
    address: SocketAddr,
    clients: usize,
    requests: &Requests,
    wanted: &Wanted,
    (warm_up, length): (Duration, Duration),
) -> Fallible<Tally> {
    let connections = Connection::open_many(address, clients).await?;
    let tally = Tally::new(Window::new(warm_up, length))?;
    let number = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for connection in connections {
        let (requests, wanted, number) = (Arc::clone(requests), Arc::clone(wanted), Arc::clone(&number));
        tasks.spawn(Client { connection, requests, number, wanted }.ask_on(address, tally.clone()));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(tally)
}

struct Client {
    connection: Connection,
    requests: Requests,
    number: Arc<AtomicU64>,
    wanted: Wanted,
}

impl Client {
    async fn ask_on(mut self, address: SocketAddr, tally: Tally) -> Fallible<()> {
        let mut request = Vec::new();
        let mut asked = Instant::now();
        while asked < tally.window.to {
            (self.requests)(self.number.fetch_add(1, Ordering::Relaxed), &mut request);
            match self.connection.ask(&request).await {
                Ok(answer) if (self.wanted)(&answer) => {
                    let now = Instant::now();
                    tally.answered(now, now - asked);
                    asked = now;
                }
                Ok(answer) => {
                    tally.complain(answer.status, answer.body);
                    asked = Instant::now();
                }
                Err(error) => {
                    tally.complain(0, error.to_string().as_bytes());
                    self.connection = Connection::open(address).await?;
                    asked = Instant::now();
                }
            }
        }
        Ok(())
    }
}
