//! A call that was let in, from the beginning of its work to the end.

use std::sync::{Arc, Mutex};

use axum::response::Response;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::config::{Behaviour, Limits};
use crate::distribution::Distribution;
use crate::draw::{hash, mix};
use crate::fault::{Fault, FaultKind, RetryAfter};
use crate::headers;
use crate::idempotency::Claim;
use crate::inbound::Inbound;
use crate::jobs::Job;
use crate::ledger::{End, Execution, Tally};
use crate::limiter::{Account, Measure, Verdict};
use crate::plan::{Plan, Seeds};
use crate::refusal::{No, Refusal, Why};
use crate::sim::Sim;
use crate::structured;

/// What a request asks for.
#[derive(Debug)]
pub(crate) struct Demand {
    pub(crate) model: String,
    pub(crate) input_tokens: u64,
    /// The most it wants to be written.
    pub(crate) output_max: Option<u32>,
    /// Whether the answer is text at all.
    pub(crate) writes: bool,
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) inbound: Inbound,
    pub(crate) body: Value,
    pub(crate) model: String,
    pub(crate) input_tokens: u64,
    pub(crate) writes: bool,
    pub(crate) plan: Plan,
    pub(crate) seeds: Seeds,
    pub(crate) fault: Option<Fault>,
    pub(crate) running: Running,
    account: Account,
    limits: Limits,
}

/// What has to be put right when work ends, however it ends.
#[derive(Debug)]
pub(crate) struct Running {
    sim: Arc<Sim>,
    execution: Option<Execution>,
    /// In the limits; `None` if it was not counted.
    account: Option<Account>,
    key: Option<Arc<str>>,
}

impl Running {
    /// So many tokens have been written.
    pub(crate) fn wrote(&mut self, tokens: u64) {
        if let Some(execution) = &mut self.execution {
            execution.wrote(tokens);
        }
    }

    /// The work ends.
    pub(crate) fn end(&mut self, end: End) {
        if let Some(mut execution) = self.execution.take() {
            execution.end(end);
        }
        if let Some(account) = self.account.take() {
            self.sim.limiter().leave(&account);
        }
        self.answered(end == End::Completed);
    }

    /// The request has its answer, though the work goes on; or will never have one.
    pub(crate) fn answered(&mut self, answered: bool) {
        if let Some(key) = self.key.take() {
            self.sim.keys().release(&key, answered);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end(End::Aborted);
    }
}

/// Begins the work of a request, unless something is in the way.
///
/// # Errors
/// The answer that says what is in the way.
pub(crate) async fn begin(inbound: Inbound, demand: Result<(Value, Demand), Refusal>) -> Result<Work, Refusal> {
    let (sim, whose) = (Arc::clone(&inbound.sim), inbound.whose());
    sim.book.note(&whose, |tally| tally.received += 1);
    let begun = match demand {
        Ok((body, demand)) => let_in(inbound, body, demand).await,
        Err(refusal) => Err(refusal),
    };
    if begun.is_err() {
        sim.book.note(&whose, |tally| tally.refused += 1);
    }
    begun
}

async fn let_in(inbound: Inbound, body: Value, demand: Demand) -> Result<Work, Refusal> {
    inbound.authenticate()?;
    let sim = Arc::clone(&inbound.sim);
    let config = sim.config();
    let meaning = inbound.meaning(&body);
    let text = mix(config.seed ^ meaning);
    let (claim, repetition, key) = claim(&inbound, meaning)?;
    let call = hash(&[&text.to_be_bytes(), &repetition.to_be_bytes()]);
    let mut running = Running { sim: Arc::clone(&sim), execution: None, account: None, key };
    let fault = inbound.fault(&demand.model, true, call)?;
    inbound.meet(fault.as_ref()).await?;

    let behaviour = asked_behaviour(&inbound, config.behaviour_of(inbound.dialect, &demand.model));
    let seeds = Seeds { text, call };
    let output_max = if demand.writes { demand.output_max } else { Some(1) };
    let script = structured::tokens(&body, text);
    let plan = Plan::new(&behaviour, seeds, output_max, script, config.time_scale);
    let limits = behaviour.limits.unwrap_or_default();
    let account = sim.limiter().account(inbound.dialect, &demand.model);
    let replayed = matches!(claim, Claim::Replay(_));
    if !replayed {
        let written = if demand.writes { u64::from(plan.tokens) } else { 0 };
        let verdict = sim.limiter().enter(&account, &limits, (demand.input_tokens, written), Instant::now());
        if !matches!(verdict, Verdict::In) {
            return Err(over_the_limit(&inbound, &account, &limits, &verdict));
        }
        running.account = Some(account.clone());
        running.execution = Some(Execution::begin(Arc::clone(&sim.book), inbound.whose(), demand.input_tokens));
    } else {
        sim.book.note(&inbound.whose(), |tally| tally.replayed += 1);
    }
    let plan = if replayed { plan.at_once() } else { plan };
    let Demand { model, input_tokens, writes, .. } = demand;
    Ok(Work { inbound, body, model, input_tokens, writes, plan, seeds, fault, running, account, limits })
}

/// Which repetition of this request it is, and whether its key lets it through.
fn claim(inbound: &Inbound, meaning: u64) -> Result<(Claim, u64, Option<Arc<str>>), Refusal> {
    let sim = &inbound.sim;
    let repetition = sim.repetition(meaning);
    let key = inbound.whose().key.filter(|_| sim.config().honour_idempotency_keys);
    let Some(key) = key else { return Ok((Claim::Begin, repetition, None)) };
    let request = hash(&[inbound.uri.path().as_bytes(), &inbound.body]);
    let claimed = sim.keys().claim(&key, request, repetition);
    match claimed {
        Claim::Begin => Ok((claimed, repetition, Some(key))),
        Claim::Replay(earlier) => Ok((claimed, earlier, None)),
        Claim::UnderWay => {
            let message = "A request with this idempotency key is under way.";
            Err(inbound.refuse(&No::new(409, Why::Conflict, message)))
        }
        Claim::Reused => {
            let message = "This idempotency key was used with a different request.";
            Err(inbound.refuse(&No::new(422, Why::Invalid, message)))
        }
    }
}

/// The behaviour that headers ask for: `x-sim-call-ms`, `x-sim-output-tokens`.
fn asked_behaviour(inbound: &Inbound, mut behaviour: Behaviour) -> Behaviour {
    let number = |name: &str| {
        let number = inbound.header(name)?.parse::<f64>().ok()?;
        (number.is_finite() && number >= 0.0).then_some(Distribution::Constant(number))
    };
    behaviour.call_ms = number("x-sim-call-ms").or(behaviour.call_ms);
    behaviour.output_tokens = number("x-sim-output-tokens").or(behaviour.output_tokens);
    behaviour
}

fn over_the_limit(inbound: &Inbound, account: &Account, limits: &Limits, verdict: &Verdict) -> Refusal {
    let sim = &inbound.sim;
    sim.book.note(&inbound.whose(), |tally: &mut Tally| tally.breaches += 1);
    let standings = sim.limiter().standing(account, limits, Instant::now());
    let (why, message, wait) = match verdict {
        Verdict::Over { measure, wait, requested } => {
            let (why, what) = match measure {
                Measure::Requests => (Why::RequestLimit, "requests per min (RPM)"),
                Measure::Tokens => (Why::TokenLimit, "tokens per min (TPM)"),
                Measure::InputTokens => (Why::TokenLimit, "input tokens per min"),
                Measure::OutputTokens => (Why::TokenLimit, "output tokens per min"),
            };
            let standing = standings.iter().find(|standing| standing.measure == *measure);
            let (limit, used) = standing.map_or((0, 0), |one| (one.limit, one.limit - one.remaining));
            let message = format!(
                "Rate limit reached for {model} in organization org-simulator on {what}: Limit {limit}, Used {used}, \
                 Requested {requested}. Please try again in {again}.",
                model = account.1,
                again = headers::go_duration(*wait)
            );
            (why, message, Some(*wait))
        }
        Verdict::Crowded | Verdict::In => (Why::RequestLimit, "Too many concurrent requests".to_owned(), None),
    };
    let Refusal(mut response) = inbound.refuse(&No::new(429, why, message));
    headers::limits(response.headers_mut(), inbound.dialect, &standings);
    let form = if inbound.dialect == crate::Dialect::Openai { RetryAfter::Ms } else { RetryAfter::Seconds };
    if let Some(wait) = wait {
        headers::retry_after(response.headers_mut(), form, wait);
    }
    Refusal(response)
}

impl Work {
    /// Whether this fault is to happen.
    pub(crate) fn has(&self, kind: FaultKind) -> bool {
        self.fault.as_ref().is_some_and(|fault| fault.kind == kind)
    }

    /// An id that belongs to this call: so many hexadecimal digits, after a prefix.
    pub(crate) fn id(&self, prefix: &str, what: &str, digits: usize) -> String {
        id(self.seeds, prefix, what, digits)
    }

    /// Tokens that the whole answer has.
    pub(crate) fn output_tokens(&self) -> u64 {
        if self.writes { u64::from(self.plan.tokens) } else { 0 }
    }

    /// An answer with the dialect's headers, the limits among them.
    pub(crate) fn dress(&self, response: Response) -> Response {
        let mut response = self.inbound.dress(response);
        let standings = self.inbound.sim.limiter().standing(&self.account, &self.limits, Instant::now());
        headers::limits(response.headers_mut(), self.inbound.dialect, &standings);
        response
    }
}

/// An id that belongs to a call.
pub(crate) fn id(seeds: Seeds, prefix: &str, what: &str, digits: usize) -> String {
    let start = hash(&[&seeds.call.to_be_bytes(), what.as_bytes()]);
    let hex: String = (0..4_u64).map(|part| format!("{:016x}", mix(start.wrapping_add(part)))).collect();
    format!("{prefix}{}", &hex[..digits.min(hex.len())])
}

impl Work {
    /// The work as a job, which can be looked after.
    pub(crate) fn job(&self, id: String, target: &str, background: bool) -> Job {
        Job {
            id,
            dialect: self.inbound.dialect,
            target: target.to_owned(),
            body: self.body.clone(),
            body_bytes: self.inbound.body.len(),
            model: self.model.clone(),
            input_tokens: self.input_tokens,
            writes: self.writes,
            plan: if background { self.plan.clone() } else { self.plan.clone().at_once() },
            seeds: self.seeds,
            begun: Instant::now(),
            background,
            fails: self.has(FaultKind::Fails),
            flagged: self.has(FaultKind::Flagged),
            fails_with: self.fault.as_ref().and_then(|fault| fault.status),
            cancel: CancellationToken::new(),
            cancelled: Mutex::default(),
            running: Mutex::default(),
        }
    }

    /// Lets the work go on by itself, as a job. What is left answers the request. A call that was answered before has its
    /// job already, unless it was forgotten.
    pub(crate) fn send_off(&mut self, job: Job) -> Arc<Job> {
        let sim = Arc::clone(&self.inbound.sim);
        self.running.answered(true);
        if let Some(known) = sim.jobs().get(job.dialect, &job.id) {
            return known;
        }
        let idle = Running { sim: Arc::clone(&sim), execution: None, account: None, key: None };
        let running = std::mem::replace(&mut self.running, idle);
        let job = Arc::new(Job { running: Mutex::new(Some(running)), ..job });
        sim.jobs().add(Arc::clone(&job));
        drop(sim.tasks.spawn(run(Arc::clone(&job), sim.stopping.clone())));
        job
    }
}

/// Waits for the end of a job, for the ledger: nobody else may look.
async fn run(job: Arc<Job>, stopping: CancellationToken) {
    tokio::select! {
        () = sleep_until(job.begun + job.length()) => {}
        () = job.cancel.cancelled() => {}
        () = stopping.cancelled() => {}
    }
    // What was forgotten before it was done was aborted.
    if !job.stage(Instant::now()).is_over() {
        job.settle(End::Aborted);
    }
}
