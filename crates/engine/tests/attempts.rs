use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::{EVENTS_MAX, Event, EventBody, Json, Outcome, Problem, ProblemType, Progress, State};
use raincheck_engine::{
    About, Blocking, BlockingContext, BlockingHandler, CHECK_TIME_MAX, CHECKS_MAX, Context, Failure, Handler, Hub,
    Stop, Submission, SubmitError,
};
use raincheck_store::{Cancelled, Change, Observer};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::support::{Work, engine, engine_told_by, test_about};

fn problem(outcome: Option<Outcome>) -> Problem {
    match outcome {
        Some(Outcome::Failed(problem)) => problem,
        other => panic!("expected a failure, not {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_runs_and_its_result_is_kept() {
    let fixture = engine(Work(|_, input: Json| async move { Ok(input) })).await;
    let job = fixture.submit(|job| job.input = json!({"n": 1}).into()).await;
    let ended = fixture.end(job).await;
    assert_eq!(ended.outcome, Some(Outcome::Completed(json!({"n": 1}).into())));
    assert_eq!(fixture.types(job).await, ["accepted", "started", "completed"]);
}

#[tokio::test(start_paused = true)]
async fn a_transient_failure_is_tried_again_and_a_fatal_one_is_not() {
    let work = |context: Context, input: Json| async move {
        match (input.as_str(), context.job().life.attempt) {
            ("\"fatal\"", _) => Err(Failure::fatal(Problem::new(ProblemType::HANDLER_FAILED, "never"))),
            (_, 1 | 2) => Err(Failure::transient("not yet")),
            _ => Ok(Json::null()),
        }
    };
    let fixture = engine(Work(work)).await;
    let job = fixture.submit(|_| ()).await;
    assert_eq!(fixture.end(job).await.life.attempt, 3);
    let retried = ["accepted", "started", "retry_scheduled", "started", "retry_scheduled", "started", "completed"];
    assert_eq!(fixture.types(job).await, retried);
    let job = fixture.submit(|job| job.input = json!("fatal").into()).await;
    assert_eq!(problem(fixture.end(job).await.outcome).detail, "never");
}

/// Tells of a cancel right behind each claim, as when it is committed before the claim is answered.
struct CancelsAtOnce(Arc<Hub>);

impl Observer for CancelsAtOnce {
    fn committed(&self, changes: &[Change]) {
        self.0.committed(changes);
        for change in changes.iter().filter(|change| matches!(change.event.body, EventBody::Started(_))) {
            let event = Event { body: EventBody::CancelRequested(None), ..change.event.clone() };
            self.0.committed(&[Change { event, ..change.clone() }]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_is_faster_than_the_start_of_the_attempt_is_heard() {
    // The first, and the one right behind it, hear of it long before a heartbeat would tell them.
    let work = |context: Context, _| async move {
        let hears = tokio::time::timeout(Duration::from_millis(1), context.cancelled()).await;
        match (hears, context.job().life.attempt) {
            (Ok(Stop::Cancelled), 1) => Err(Failure::transient("once more")),
            (heard, _) => Ok(json!(heard.is_ok()).into()),
        }
    };
    let fixture = engine_told_by(Work(work), |hub| Arc::new(CancelsAtOnce(hub))).await;
    let job = fixture.submit(|_| ()).await;
    let ended = fixture.end(job).await;
    assert_eq!((ended.life.attempt, ended.outcome), (2, Some(Outcome::Completed(json!(true).into()))));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_of_its_job_alone() {
    let work = |_, input: Json| async move { if input.as_str() == "true" { panic!("oh no") } else { Ok(input) } };
    let fixture = engine(Work(work)).await;
    let job = fixture.submit(|job| (job.input, job.max_attempts) = (json!(true).into(), Some(1))).await;
    let problem = problem(fixture.end(job).await.outcome);
    assert!(problem.is(ProblemType::HANDLER_PANICKED) && problem.detail == "oh no", "{problem:?}");
    let job = fixture.submit(|_| ()).await;
    assert_eq!(fixture.end(job).await.life.state, State::Completed);
}

#[tokio::test(start_paused = true)]
async fn cancel_reaches_a_running_handler_at_once() {
    let work = |context: Context, _| async move {
        assert_eq!(context.cancelled().await, Stop::Cancelled);
        Err(Failure::cancelled())
    };
    let fixture = engine(Work(work)).await;
    let job = fixture.submit(|_| ()).await;
    sleep(Duration::from_secs(60)).await;
    let asked = Instant::now();
    let answer = fixture.engine.cancel(job, None, Some("changed my mind".into())).await.unwrap();
    assert!(matches!(answer, Cancelled::Done(life) if life.cancel_requested));
    assert_eq!(fixture.end(job).await.life.state, State::Cancelled);
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert_eq!(fixture.types(job).await, ["accepted", "started", "cancel_requested", "cancelled"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_ignores_cancel_is_dropped_after_a_grace_time() {
    let fixture = engine(Work(|_, _| std::future::pending())).await;
    let job = fixture.submit(|_| ()).await;
    sleep(Duration::from_secs(1)).await;
    fixture.engine.cancel(job, None, None).await.unwrap();
    assert_eq!(fixture.end(job).await.life.state, State::Cancelled);
    assert_eq!(fixture.engine.stats().running, 0);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_is_recognised_even_if_it_would_be_refused_by_now() {
    let fixture = engine(Work(|_, input: Json| async move { Ok(input) })).await;
    let deadline = fixture.engine.clock().now().after(Duration::from_secs(10));
    let wish = |job: &mut raincheck_engine::Submission| {
        job.deadline = Some(deadline);
        job.idempotency = Some(raincheck_store::Idempotency { key: 1, fingerprint: 2 });
    };
    let job = fixture.submit(wish).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(fixture.submit(wish).await, job);
}

#[tokio::test(start_paused = true)]
async fn time_out_and_deadline_end_an_attempt() {
    let fixture = engine(Work(|_, _| std::future::pending())).await;
    let job = fixture.submit(|job| (job.timeout, job.max_attempts) = (Some(Duration::from_secs(2)), Some(2))).await;
    assert!(problem(fixture.end(job).await.outcome).is(ProblemType::ATTEMPT_TIMED_OUT));
    assert_eq!(fixture.types(job).await, ["accepted", "started", "retry_scheduled", "started", "failed"]);
    let deadline = fixture.engine.clock().now().after(Duration::from_secs(3));
    let job = fixture.submit(|job| job.deadline = Some(deadline)).await;
    assert_eq!(fixture.end(job).await.outcome, Some(Outcome::Expired));
}

#[tokio::test(start_paused = true)]
async fn a_long_job_keeps_its_lease_for_a_day() {
    let work = |_, _| async {
        sleep(Duration::from_secs(24 * 3600)).await;
        Ok(Json::null())
    };
    let fixture = engine(Work(work)).await;
    let job = fixture.submit(|job| job.timeout = Some(Duration::from_secs(48 * 3600))).await;
    sleep(Duration::from_secs(24 * 3600 + 1)).await;
    assert_eq!(fixture.end(job).await.life.attempt, 1);
}

#[tokio::test(start_paused = true)]
async fn a_recorded_step_is_not_run_again() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let work = |context: Context, _| async move {
        let paid: u32 = context.step("pay", async { Ok(RUNS.fetch_add(1, Ordering::SeqCst)) }).await?;
        if context.job().life.attempt < 3 { Err(Failure::transient("later")) } else { Ok(json!(paid).into()) }
    };
    let fixture = engine(Work(work)).await;
    let job = fixture.submit(|_| ()).await;
    assert_eq!(fixture.end(job).await.outcome, Some(Outcome::Completed(json!(0).into())));
    assert_eq!(RUNS.load(Ordering::SeqCst), 1);
    assert_eq!(fixture.store.steps(job).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_step_asked_for_twice_in_one_attempt_is_run_and_recorded_once() {
    let work = |context: Context, _| async move {
        let first: u32 = context.step("pay", async { Ok(1) }).await?;
        let second: u32 = context.step("pay", async { Ok(2) }).await?;
        Ok(json!([first, second]).into())
    };
    let fixture = engine(Work(work)).await;
    let job = fixture.submit(|_| ()).await;
    assert_eq!(fixture.end(job).await.outcome, Some(Outcome::Completed(json!([1, 1]).into())));
    assert_eq!(fixture.types(job).await, ["accepted", "started", "step", "completed"]);
}

#[tokio::test(start_paused = true)]
async fn progress_at_a_high_rate_is_coalesced_and_its_last_value_kept() {
    let work = |context: Context, _| async move {
        for current in 1..=100_000 {
            context.progress(Progress::counted(current, 100_000, ""));
            if current % 10_000 == 0 {
                sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(Json::null())
    };
    let fixture = engine(Work(work)).await;
    let job = fixture.submit(|_| ()).await;
    let ended = fixture.end(job).await;
    assert_eq!(ended.life.progress.unwrap().percent, 100.0);
    let recorded = fixture.types(job).await.iter().filter(|kind| **kind == "progress").count();
    assert!((2..=10).contains(&recorded), "{recorded} progress events");
}

#[tokio::test(start_paused = true)]
async fn lines_are_all_recorded_in_order_and_progress_between_them_gives_way() {
    let work = |context: Context, _| async move {
        for number in 0..600 {
            context.progress(Progress::percent(0.0, "before"));
            context.line(Progress::percent(0.0, format!("line {number}"))).await?;
            context.progress(Progress::percent(0.0, "gone"));
        }
        let so_far = context.log(0, 100).await?.len();
        context.progress(Progress::percent(0.0, "last"));
        Ok(Json::from(serde_json::Value::from(so_far)))
    };
    let fixture = engine(Work(work)).await;
    let job = fixture.submit(|_| ()).await;
    assert_eq!(fixture.end(job).await.life.state, State::Completed);
    let message = |event: &raincheck_core::Event| match &event.body {
        raincheck_core::EventBody::Progress(progress) => Some(progress.message.clone()),
        _ => None,
    };
    let said: Vec<String> = fixture.log(job).await.iter().filter_map(message).collect();
    let lines: Vec<&String> = said.iter().filter(|message| message.starts_with("line")).collect();
    assert_eq!(lines, (0..600).map(|number| format!("line {number}")).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    assert_eq!(said.last().map(String::as_str), Some("last"));
}

#[tokio::test(start_paused = true)]
async fn a_day_of_progress_does_not_fill_the_log() {
    let day = Duration::from_secs(24 * 3600);
    let work = move |context: Context, _| async move {
        for current in 0..24 * 3600 * 4 {
            context.progress(Progress::counted(current, 24 * 3600 * 4, ""));
            sleep(Duration::from_millis(250)).await;
        }
        Ok(Json::null())
    };
    let fixture = engine(Work(work)).await;
    let job = fixture.submit(|job| job.timeout = Some(2 * day)).await;
    let early = fixture.engine.clock().now().after(Duration::from_secs(60));
    sleep(day + Duration::from_secs(60)).await;
    assert_eq!(fixture.end(job).await.life.state, State::Completed);
    let times: Vec<_> = fixture.log(job).await.iter().map(|event| event.at).collect();
    assert!(times.len() < usize::try_from(EVENTS_MAX).unwrap(), "{} events", times.len());
    assert!(times.iter().filter(|at| **at < early).count() > 200, "at first every report is recorded");
    let longest = times.windows(2).map(|pair| pair[1].since(pair[0])).max();
    assert!(longest < Some(Duration::from_secs(10)), "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn output_comes_in_order_and_all_of_it() {
    let work = |context: Context, _| async move {
        for number in 0..5_000 {
            context.emit(json!(number).into()).await?;
        }
        Ok(Json::null())
    };
    let fixture = engine(Work(work)).await;
    let job = fixture.submit(|_| ()).await;
    fixture.end(job).await;
    let log = fixture.log(job).await;
    let output: Vec<String> = log.iter().skip(2).map(|event| event.body.data().as_str().to_owned()).collect();
    assert_eq!(output[..5_000], (0..5_000).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn draining_lets_short_work_end_and_hands_long_work_back() {
    let work = |_, input: Json| async move {
        sleep(Duration::from_secs(input.parse().unwrap())).await;
        Ok(Json::null())
    };
    let fixture = engine(Work(work)).await;
    let short = fixture.submit(|job| job.input = json!(2).into()).await;
    let long = fixture.submit(|job| job.input = json!(1_000).into()).await;
    sleep(Duration::from_secs(1)).await;
    let log_of = async |job| fixture.store.read_log(job, None, 0, 100).await.unwrap().unwrap().events;
    let (before, engine) = (log_of(long).await.len(), fixture.engine.clone());
    let followed = tokio::join!(
        async { engine.follow(long, None, before as u64).await.unwrap().unwrap().next().await.unwrap() },
        async { engine.wait(short, None, Duration::from_secs(10)).await.unwrap().unwrap().life.state },
        async { fixture.engine.drain(Duration::from_secs(5)).await.unwrap() },
    );
    assert_eq!(followed.1, State::Completed);
    assert_eq!(followed.0[0].body.event_type().as_str(), "released");
}

struct Hash;

/// How often the step of [`Hash`] was run.
static RUNS: AtomicU32 = AtomicU32::new(0);

impl BlockingHandler for Hash {
    fn about(&self) -> raincheck_engine::About {
        test_about()
    }

    fn run(&self, context: &BlockingContext, input: Json) -> Result<Json, Failure> {
        match input.as_str() {
            "\"panic\"" => panic!("in a thread"),
            "\"wait\"" => {
                while !context.cancelled() {
                    std::thread::yield_now();
                }
                context.emit(json!("partial").into())?;
                Err(Failure::cancelled())
            }
            "\"step\"" => {
                let paid: u32 = context.step("pay", || {
                    context.emit(json!("paid").into())?;
                    Ok(RUNS.fetch_add(1, Ordering::SeqCst))
                })?;
                let again: u32 = context.step("pay", || Ok(99))?;
                match context.job().life.attempt {
                    1 => Err(Failure::transient("later")),
                    _ => Ok(json!([paid, again]).into()),
                }
            }
            _ => {
                context.progress(Progress::percent(50.0, "half"));
                Ok(json!(std::thread::current().name()).into())
            }
        }
    }
}

#[tokio::test]
async fn blocking_work_has_a_thread_of_its_own_and_hears_of_cancel() {
    let fixture = Arc::new(engine(Blocking::new(Hash)).await);
    let job = fixture.submit(|_| ()).await;
    assert_eq!(fixture.end(job).await.outcome, Some(Outcome::Completed(json!("job test").into())));
    assert!(fixture.types(job).await.contains(&"progress"));
    let job = fixture.submit(|job| (job.input, job.max_attempts) = (json!("panic").into(), Some(1))).await;
    assert!(problem(fixture.end(job).await.outcome).is(ProblemType::HANDLER_PANICKED));
    let job = fixture.submit(|job| job.input = json!("wait").into()).await;
    let mut reader = fixture.engine.follow(job, None, 1).await.unwrap().unwrap();
    assert_eq!(reader.next().await.unwrap()[0].body.event_type().as_str(), "started");
    fixture.engine.cancel(job, None, None).await.unwrap();
    fixture.end(job).await;
    assert_eq!(fixture.types(job).await, ["accepted", "started", "cancel_requested", "output", "cancelled"]);
}

#[tokio::test]
async fn a_recorded_step_of_blocking_work_is_not_run_again() {
    let fixture = engine(Blocking::new(Hash)).await;
    let job = fixture.submit(|job| job.input = json!("step").into()).await;
    assert_eq!(fixture.end(job).await.outcome, Some(Outcome::Completed(json!([0, 0]).into())));
    assert_eq!(RUNS.load(Ordering::SeqCst), 1);
    let types = ["accepted", "started", "output", "step", "retry_scheduled", "started", "completed"];
    assert_eq!(fixture.types(job).await, types);
}

/// Its check hangs while the gate is shut.
#[derive(Clone, Default)]
struct Gated {
    open: Arc<(Mutex<bool>, Condvar)>,
    begun: Arc<AtomicU32>,
}

impl BlockingHandler for Gated {
    fn about(&self) -> raincheck_engine::About {
        test_about()
    }

    fn check(&self, _: &Json) -> Result<(), Problem> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let (open, opened) = &*self.open;
        drop(opened.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
        Ok(())
    }

    fn run(&self, _: &BlockingContext, input: Json) -> Result<Json, Failure> {
        Ok(input)
    }
}

#[tokio::test(start_paused = true)]
async fn checks_that_hang_are_given_up_and_bounded_in_number() {
    let gated = Gated::default();
    let fixture = engine(Blocking::new(gated.clone())).await;
    let submission = || Submission::new("test".parse().unwrap(), Json::null());
    for _ in 0..CHECKS_MAX + 3 {
        let submitted = fixture.engine.submit(vec![submission()]);
        // Time does not pass by itself while a thread is under way.
        let (submitted, ()) = tokio::join!(submitted, tokio::time::advance(CHECK_TIME_MAX));
        let Err((0, SubmitError::Refused(problem))) = submitted else { panic!("not refused: {submitted:?}") };
        assert!(problem.is(ProblemType::OVERLOADED), "{problem:?}");
    }
    *gated.open.0.lock().unwrap() = true;
    gated.open.1.notify_all();
    let job = fixture.submit(|_| ()).await;
    assert_eq!(fixture.end(job).await.life.state, State::Completed);
    let begun = usize::try_from(gated.begun.load(Ordering::SeqCst)).unwrap();
    assert_eq!(begun, CHECKS_MAX + 1, "those that hung, and the last one");
}

/// Four at once, half a minute each.
struct FourAtOnce;

#[async_trait]
impl Handler for FourAtOnce {
    fn about(&self) -> About {
        About { concurrency: 4, ..test_about() }
    }

    async fn run(&self, _: Context, input: Json) -> Result<Json, Failure> {
        sleep(Duration::from_secs(30)).await;
        Ok(input)
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_is_estimated_by_how_long_jobs_take() {
    let fixture = engine(FourAtOnce).await;
    let first = fixture.submit(|_| ()).await;
    fixture.end(first).await;
    let mut jobs = Vec::new();
    for _ in 0..12 {
        jobs.push(fixture.submit(|_| ()).await);
    }
    sleep(Duration::from_millis(100)).await;
    let last = fixture.engine.get(*jobs.last().unwrap(), None).await.unwrap().unwrap();
    let (place, wait) = fixture.engine.place(&last).unwrap();
    assert_eq!(place.ahead, 7);
    // Seven are to start before it, four each half minute.
    assert!((Duration::from_secs(45)..Duration::from_secs(60)).contains(&wait), "{wait:?}");
    let ended = fixture.end(*jobs.last().unwrap()).await;
    let waited = ended.life.started_at.unwrap().since(ended.spec.created_at);
    assert!(waited.abs_diff(wait) < Duration::from_secs(15), "{waited:?} rather than {wait:?}");
}

#[tokio::test(start_paused = true)]
async fn jobs_with_a_concurrency_key_run_one_after_the_other_without_a_gap() {
    let work = |_, _| async move {
        sleep(Duration::from_secs(2)).await;
        Ok(Json::null())
    };
    let fixture = engine(Work(work)).await;
    let chained = |submission: &mut Submission| submission.concurrency_key = Some("conversation 1".parse().unwrap());
    let first = fixture.submit(chained).await;
    let second = fixture.submit(chained).await;
    let third = fixture.submit(chained).await;
    let other = fixture.submit(|_| ()).await;
    fixture.end(first).await;
    assert!(fixture.end(other).await.life.finished_at <= fixture.end(first).await.life.finished_at);
    sleep(Duration::from_millis(500)).await;
    let waiting = fixture.engine.get(third, None).await.unwrap().unwrap();
    let (place, wait) = fixture.engine.place(&waiting).unwrap();
    assert_eq!((place.ahead, place.behind, wait), (1, 1, Duration::from_secs(2)));
    let (second, third) = (fixture.end(second).await, fixture.end(third).await);
    let first = fixture.end(first).await;
    assert!(second.life.started_at >= first.life.finished_at && third.life.started_at >= second.life.finished_at);
    let all = third.life.finished_at.unwrap().since(first.life.started_at.unwrap());
    assert!(all < Duration::from_millis(6_200), "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn the_cancel_of_a_waiting_job_gives_the_next_its_turn_at_once() {
    let work = |_, _| async move { Ok(Json::null()) };
    let fixture = engine(Work(work)).await;
    let now = fixture.engine.clock().now();
    let key = |submission: &mut Submission| submission.concurrency_key = Some("k".parse().unwrap());
    let later = fixture.submit(|submission| {
        key(submission);
        submission.run_at = Some(now.after(Duration::from_secs(3600)));
    });
    let later = later.await;
    let next = fixture.submit(key).await;
    sleep(Duration::from_secs(5)).await;
    let cancelled_at = fixture.engine.clock().now();
    fixture.engine.cancel(later, None, None).await.unwrap();
    let started_at = fixture.end(next).await.life.started_at.unwrap();
    assert!(started_at.since(cancelled_at) < Duration::from_millis(100), "{started_at:?}");
}
