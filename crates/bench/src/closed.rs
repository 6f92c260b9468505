//! A closed loop: so many clients, each of which asks again as soon as it is answered. What a server can do at most.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::failure::Fallible;
use crate::http::Connection;
use crate::load::{Counted, Requests, Tally, Window};

/// Asks from `clients` connections for `length` after `warm_up`; every answer must have this status.
pub(crate) async fn load(
    address: SocketAddr,
    clients: usize,
    requests: &Requests,
    status: u16,
    (warm_up, length): (Duration, Duration),
) -> Fallible<Counted> {
    let connections = Connection::open_many(address, clients).await?;
    let window = Window::new(warm_up, length);
    let tally = Tally::new(window)?;
    let number = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for connection in connections {
        let client = Client { connection, requests: Arc::clone(requests), number: Arc::clone(&number), status };
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
    number: Arc<AtomicU64>,
    status: u16,
}

impl Client {
    async fn ask_on(mut self, tally: Tally) -> Fallible<()> {
        let mut request = Vec::new();
        let mut asked = Instant::now();
        while asked < tally.window.to {
            (self.requests)(self.number.fetch_add(1, Ordering::Relaxed), &mut request);
            let answer = self.connection.ask(&request).await?;
            let now = Instant::now();
            if answer.status == self.status {
                tally.answered(now, now - asked);
            } else {
                tally.complain(answer.status, answer.body);
                return Ok(());
            }
            asked = now;
        }
        Ok(())
    }
}
