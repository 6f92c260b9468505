//! A steady load: jobs, and the rest of the API beside them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::stage::Stage;
use crate::failure::Fallible;
use crate::http::get;
use crate::load::{Counted, Requests, always};
use crate::{jobs, paced};

/// Jobs a second.
pub(super) const JOBS: f64 = 20.0;
/// Other requests a second.
const OTHERS: f64 = 50.0;
const CLIENTS: u32 = 8;
const ACCEPTED: u16 = 202;
const OK: u16 = 200;
/// How often it is told how it goes.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// How the API answered meanwhile.
pub(super) struct Answers {
    /// Submissions.
    pub(super) accepts: Counted,
    /// Everything else.
    pub(super) others: Counted,
}

impl Answers {
    /// The slowest hundredth of both, in a sentence.
    pub(super) fn told(&self) -> String {
        let p99 = |counted: &Counted| crate::report::millis(counted.quantile(0.99));
        format!("POST {}, others {}", p99(&self.accepts), p99(&self.others))
    }
}

/// Submits jobs and looks around, for so long, and tells how it goes. `attempts`: how often a job may fail, if it is not the usual.
pub(super) async fn run(stage: &Stage, what: &str, length: Duration, attempts: Option<u32>) -> Fallible<Answers> {
    let mut wish = json!({
        "kind": "llm.chat",
        "input": { "model": "m", "messages": [{ "role": "user", "content": "Why is the sky blue?" }] },
    });
    if let Some(attempts) = attempts {
        wish["max_attempts"] = attempts.into();
    }
    let (submit, address) = (always(jobs::submit(&wish.to_string())), stage.server.address);
    let times = (Duration::ZERO, length);
    let looking = others();
    let accepts = paced::load(address, CLIENTS, JOBS, &submit, ACCEPTED, times);
    let others = paced::load(address, CLIENTS, OTHERS, &looking, OK, times);
    let answers = async { tokio::try_join!(accepts, others) };
    let (accepts, others) = tokio::select! {
        answers = answers => answers?,
        error = tell(stage, what) => return Err(error),
    };
    Ok(Answers { accepts, others })
}

fn others() -> Requests {
    let paths = ["/v1/jobs?limit=20", "/v1/kinds", "/v1/queues", "/healthz"];
    let requests = paths.map(|path| get(path, ""));
    Arc::new(move |number, bytes| {
        bytes.clear();
        bytes.extend_from_slice(&requests[(number % 4) as usize]);
    })
}

/// Tells how it goes, for as long as it goes; gives why it cannot.
async fn tell(stage: &Stage, what: &str) -> Box<dyn std::error::Error + Send + Sync> {
    let begun = Instant::now();
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        match stage.standing().await {
            Ok(now) => eprintln!(
                "outage: {what}, {:>3} s: {:>5} jobs wait, {:>3} run; the provider got {:>5} calls and refused {:>4}",
                begun.elapsed().as_secs(),
                now.waiting,
                now.running,
                now.calls,
                now.refused
            ),
            Err(error) => return error,
        }
    }
}
