//! An open loop: requests at a fixed rate, whether or not the last ones are answered. What clients see of a server that
//! is not at its limit.
//!
//! The time of a request counts from when it was to be sent, not from when it was: if an answer is late, those that had to
//! wait behind it are late too, and are counted so (no coordinated omission). What the timer of this client is late, up to
//! about a millisecond, is counted against the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::failure::Fallible;
use crate::http::Connection;
use crate::load::{Counted, Requests, Tally, Window};

/// Asks `per_second` times a second, the connections taking turns, for `length` after `warm_up`; every answer must have this status.
pub(crate) async fn load(
    address: SocketAddr,
    clients: u32,
    per_second: f64,
    requests: &Requests,
    status: u16,
    (warm_up, length): (Duration, Duration),
) -> Fallible<Counted> {
    let connections = Connection::open_many(address, clients as usize).await?;
    let window = Window::new(warm_up, length);
    let tally = Tally::new(window)?;
    let turn = Duration::from_secs_f64(1.0 / per_second);
    let mut tasks = JoinSet::new();
    for (number, connection) in (0..clients).zip(connections) {
        let first = window.begun + turn * number;
        let client =
            Client { connection, requests: Arc::clone(requests), number, status, first, every: turn * clients };
        tasks.spawn(client.ask_on(tally.clone()));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    tally.counted()
}

struct Client {
    connection: Connection,
    requests: Requests,
    number: u32,
    status: u16,
    first: Instant,
    every: Duration,
}

impl Client {
    async fn ask_on(mut self, tally: Tally) -> Fallible<()> {
        let mut request = Vec::new();
        let mut due = self.first;
        let mut turn = 0_u64;
        while due < tally.window.to {
            sleep_until(due).await;
            (self.requests)(u64::from(self.number) << 40 | turn, &mut request);
            let answer = self.connection.ask(&request).await?;
            if answer.status == self.status {
                tally.answered(due, due.elapsed());
            } else {
                tally.complain(answer.status, answer.body);
                return Ok(());
            }
            due += self.every;
            turn += 1;
        }
        Ok(())
    }
}
