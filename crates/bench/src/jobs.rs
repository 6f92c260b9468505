//! The requests that benchmarks send.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;

use crate::failure::Fallible;
use crate::http::{Connection, get, post};
use crate::load::Requests;

/// A queue in which jobs are left to wait.
pub(crate) const PAUSED: &str = "bench-paused";
/// How many jobs a batch has when a backlog is filled.
const FILL_BATCH: usize = 1_000;

/// A wish for a job whose input has this many bytes.
pub(crate) fn wish(kind: &str, queue: &str, input_bytes: usize) -> String {
    // Two of the bytes are the quotes.
    let input = "x".repeat(input_bytes.saturating_sub(2));
    format!("{{\"kind\":\"{kind}\",\"queue\":\"{queue}\",\"input\":\"{input}\"}}")
}

/// The request for one job.
pub(crate) fn submit(wish: &str) -> Vec<u8> {
    post("/v1/jobs", "", wish)
}

/// The request for many jobs.
pub(crate) fn submit_batch(wish: &str, jobs: usize) -> Vec<u8> {
    post("/v1/jobs:batch", "", &format!("{{\"jobs\":[{}]}}", vec![wish; jobs].join(",")))
}

/// Requests for one job each, with an idempotency key that is new every time.
pub(crate) fn submit_with_keys(wish: &str) -> Requests {
    let wish = wish.to_owned();
    Arc::new(move |number, bytes| {
        bytes.clear();
        // Scattered, as random keys are.
        let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bytes.extend_from_slice(&post(
            "/v1/jobs",
            &format!("idempotency-key: bench-{key:016x}-{number:016x}\r\n"),
            &wish,
        ));
    })
}

/// Stops claiming from [`PAUSED`].
pub(crate) async fn pause(address: SocketAddr) -> Fallible<()> {
    told(address, &post(&format!("/v1/queues/{PAUSED}/pause"), "", "")).await.map(drop)
}

/// Begins to claim from [`PAUSED`] again.
pub(crate) async fn resume(address: SocketAddr) -> Fallible<()> {
    told(address, &post(&format!("/v1/queues/{PAUSED}/resume"), "", "")).await.map(drop)
}

/// Submits so many jobs, as fast as it goes.
pub(crate) async fn fill(address: SocketAddr, jobs: usize, wish: &str) -> Fallible<()> {
    let request = submit_batch(wish, FILL_BATCH);
    fill_with(address, jobs.div_ceil(FILL_BATCH), Arc::new(move |_| request.clone())).await
}

/// As [`fill`], every job with an idempotency key.
pub(crate) async fn fill_with_keys(address: SocketAddr, jobs: usize, wish: &str) -> Fallible<()> {
    let body = format!("{{\"jobs\":[{}]}}", vec![wish; FILL_BATCH].join(","));
    let request = move |number: usize| post("/v1/jobs:batch", &format!("idempotency-key: fill-{number}\r\n"), &body);
    fill_with(address, jobs.div_ceil(FILL_BATCH), Arc::new(request)).await
}

async fn fill_with(
    address: SocketAddr,
    batches: usize,
    request: Arc<dyn Fn(usize) -> Vec<u8> + Send + Sync>,
) -> Fallible<()> {
    const CLIENTS: usize = 4;
    let mut tasks = JoinSet::new();
    for client in 0..CLIENTS {
        let request = Arc::clone(&request);
        tasks.spawn(async move {
            let mut connection = Connection::open(address).await?;
            for number in (client..batches).step_by(CLIENTS) {
                let answer = connection.ask(&request(number)).await?;
                if answer.status != 202 {
                    let why = String::from_utf8_lossy(&answer.body[..answer.body.len().min(500)]).into_owned();
                    return Err(format!("a batch was refused: {} {why}", answer.status).into());
                }
            }
            Fallible::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Asks once on a connection of its own; anything but success is an error.
pub(crate) async fn told(address: SocketAddr, request: &[u8]) -> Fallible<Vec<u8>> {
    let mut connection = Connection::open(address).await?;
    let answer = connection.ask(request).await?;
    if (200..300).contains(&answer.status) {
        Ok(answer.body.to_vec())
    } else {
        Err(format!("{} {}", answer.status, String::from_utf8_lossy(answer.body)).into())
    }
}

/// Submits one job; gives its id.
pub(crate) async fn submit_one(address: SocketAddr, wish: &str) -> Fallible<String> {
    let job: Value = serde_json::from_slice(&told(address, &submit(wish)).await?)?;
    Ok(job["id"].as_str().ok_or("a job without an id")?.to_owned())
}

/// A sum over all labels of a metric.
pub(crate) async fn metric(connection: &mut Connection, name: &str) -> Fallible<f64> {
    let answer = connection.ask(&get("/metrics", "")).await?;
    let text = std::str::from_utf8(answer.body)?;
    let mut sum = 0.0;
    for line in text.lines() {
        let Some(rest) = line.strip_prefix(name) else { continue };
        if rest.starts_with([' ', '{']) {
            sum += rest.rsplit(' ').next().unwrap_or("0").parse::<f64>()?;
        }
    }
    Ok(sum)
}

/// Waits until a metric has reached a number, looking every 20 ms.
pub(crate) async fn reached(connection: &mut Connection, name: &str, number: f64) -> Fallible<()> {
    const LOOK_EVERY: Duration = Duration::from_millis(20);
    while metric(connection, name).await? < number {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}
