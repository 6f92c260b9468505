use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::state::TRANSITIONS;
use crate::{Backoff, EventType, Json, Progress, StepRecord};

fn rules() -> Rules {
    Rules {
        max_attempts: 3,
        backoff: Backoff { base_ms: 100, cap_ms: 1_000 },
        deadline: Some(Time::from_millis(50_000)),
        retention_ms: 1_000,
        is_told: false,
    }
}

fn accepted() -> Life {
    Life {
        state: State::Queued,
        attempt: 0,
        failures: 0,
        lease_losses: 0,
        fence: Fence::default(),
        lease: None,
        run_at: Time::EPOCH,
        cancel_requested: false,
        last_seq: 1,
        steps: 0,
        progress: None,
        started_at: None,
        finished_at: None,
        expires_at: None,
    }
}

fn at(millis: i64) -> Time {
    Time::from_millis(millis)
}

fn apply(life: &Life, command: Command, now: i64) -> Life {
    decide(life, &rules(), command, at(now)).unwrap().life
}

fn claim(until: i64) -> Command {
    Command::Claim { worker: WorkerId::new("w"), until: at(until) }
}

fn finish(fence: u64, ending: Ending) -> Command {
    Command::Finish { fence: Fence(fence), notes: Vec::new(), ending, dice: Dice(u32::MAX) }
}

fn failed() -> Ending {
    Ending::Failed { problem: Problem::new(ProblemType::HANDLER_FAILED, "no"), retry: Retry::Backoff }
}

fn postponed() -> Ending {
    let problem = Problem::new(ProblemType::HANDLER_FAILED, "closed");
    Ending::Failed { problem, retry: Retry::Postpone(70) }
}

#[test]
fn a_postponed_job_waits_at_no_cost() {
    let running = apply(&accepted(), claim(1_000), 0);
    let waiting = apply(&running, finish(1, postponed()), 10);
    assert_eq!((waiting.state, waiting.failures, waiting.run_at), (State::Waiting, 0, at(80)));
    assert_eq!(apply(&waiting, claim(1_000), 80).state, State::Running);
}

#[test]
fn a_failure_is_followed_by_another_attempt_until_none_is_left() {
    let mut life = accepted();
    let mut now = 0;
    for attempt in 1..=3 {
        life = apply(&life, claim(now + 15_000), now);
        assert_eq!((life.attempt, life.fence), (attempt, Fence(u64::from(attempt))));
        life = apply(&life, finish(u64::from(attempt), failed()), now);
        now = life.run_at.as_millis();
    }
    assert_eq!(life.state, State::Failed);
    assert_eq!(life.expires_at, Some(life.finished_at.unwrap().after(Duration::from_secs(1))));
}

#[test]
fn three_lost_leases_quarantine_a_job_and_count_as_no_failure() {
    let mut life = accepted();
    for loss in 1..=3 {
        life = apply(&life, claim(loss * 10), loss * 10 - 5);
        assert_eq!(decide(&life, &rules(), Command::Lapse, at(loss * 10 - 1)), Err(Refusal::NotDue));
        life = apply(&life, Command::Lapse, loss * 10);
        assert_eq!(life.failures, 0);
    }
    assert_eq!(life.state, State::Failed);
}

#[test]
fn cancel_ends_a_waiting_job_at_once_and_a_running_one_when_its_attempt_stops() {
    let cancel = || Command::Cancel { reason: None };
    assert_eq!(apply(&accepted(), cancel(), 1).state, State::Cancelled);
    let running = apply(&accepted(), claim(15_000), 0);
    let told = apply(&running, cancel(), 1);
    assert_eq!((told.state, told.cancel_requested), (State::Running, true));
    assert_eq!(decide(&told, &rules(), cancel(), at(2)).unwrap().events, [], "asking twice changes nothing");
    assert_eq!(apply(&told, finish(1, Ending::Cancelled), 3).state, State::Cancelled);
    assert_eq!(apply(&told, finish(1, failed()), 3).state, State::Cancelled, "no attempt follows a cancel");
    assert_eq!(apply(&told, Command::Lapse, 15_000).state, State::Cancelled);
    assert_eq!(
        apply(&told, finish(1, Ending::Completed(Json::null())), 3).state,
        State::Completed,
        "work done stays done"
    );
}

#[test]
fn nothing_starts_after_the_deadline() {
    assert_eq!(apply(&accepted(), claim(60_000), 50_000).state, State::Expired);
    assert_eq!(apply(&accepted(), Command::Expire, 50_000).state, State::Expired);
    assert_eq!(decide(&accepted(), &rules(), Command::Expire, at(49_999)), Err(Refusal::NotDue));
    let running = apply(&accepted(), claim(60_000), 49_950);
    assert_eq!(apply(&running, finish(1, failed()), 49_960).state, State::Failed, "no time for another attempt");
    assert_eq!(apply(&running, finish(1, Ending::Expired), 50_001).state, State::Expired);
}

#[test]
fn a_worker_that_does_not_heed_the_deadline_loses_the_job_soon_after() {
    let running = apply(&accepted(), claim(40_000), 30_000);
    let beat = Command::Heartbeat { fence: Fence(1), until: at(900_000) };
    let late = apply(&running, beat, 49_000);
    assert_eq!(late.lease.as_ref().unwrap().until, at(50_000).after(DEADLINE_GRACE));
    assert_eq!(apply(&late, Command::Lapse, 80_000).state, State::Expired);
}

#[test]
fn a_job_handed_back_is_queued_and_paid_nothing() {
    let running = apply(&accepted(), claim(15_000), 0);
    let back = apply(&running, finish(1, Ending::Released), 10);
    assert_eq!((back.state, back.failures, back.lease_losses), (State::Queued, 0, 0));
    assert_eq!(apply(&back, claim(15_000), 11).fence, Fence(2));
}

#[test]
fn a_full_log_takes_steps_and_the_end_and_says_once_that_it_is_full() {
    let mut life = Life { last_seq: EVENTS_MAX - 3, ..apply(&accepted(), claim(15_000), 0) };
    let notes = || {
        let step = StepRecord { name: "pay".into(), result: Json::null() };
        let output = Note::Output(Json::null());
        vec![output.clone(), Note::Progress(Progress::percent(50.0, "")), output, Note::Step(step)]
    };
    let mut log = Vec::new();
    for _ in 0..2 {
        let decision = decide(&life, &rules(), Command::Append { fence: Fence(1), notes: notes() }, at(1)).unwrap();
        life = decision.life;
        log.extend(decision.events);
    }
    let types = |log: &[Event]| log.iter().map(|event| event.body.event_type()).collect::<Vec<_>>();
    use EventType::{LogFull, Output, Step};
    assert_eq!(types(&log), [Output, EventType::Progress, Output, LogFull, Step, Step]);
    assert_eq!(log[3].seq, EVENTS_MAX + 1);
    assert_eq!(life.progress.as_ref().unwrap().percent, 50.0, "the job is the fold of its log");
    let end = decide(&life, &rules(), finish(1, Ending::Completed(Json::null())), at(2)).unwrap();
    assert_eq!((types(&end.events), end.life.last_seq), (vec![EventType::Completed], EVENTS_MAX + 4));
}

#[test]
fn a_job_that_ends_as_its_log_fills_says_nothing_after_its_end() {
    let life = Life { last_seq: EVENTS_MAX - 1, ..apply(&accepted(), claim(15_000), 0) };
    let end = decide(&life, &rules(), finish(1, Ending::Completed(Json::null())), at(2)).unwrap();
    assert_eq!((end.events.len(), end.life.last_seq), (1, EVENTS_MAX));
}

#[test]
fn more_steps_than_a_job_may_record_are_refused_and_its_end_is_not() {
    let life = Life { steps: STEPS_MAX - 1, ..apply(&accepted(), claim(15_000), 0) };
    let step = || Note::Step(StepRecord { name: "pay".into(), result: Json::null() });
    let append = |notes| Command::Append { fence: Fence(1), notes };
    assert_eq!(decide(&life, &rules(), append(vec![step(), step()]), at(1)), Err(Refusal::StepsFull));
    let full = apply(&life, append(vec![step()]), 1);
    let ending = Ending::Completed(Json::null());
    let end = Command::Finish { fence: Fence(1), notes: vec![step()], ending, dice: Dice(0) };
    let ended = apply(&full, end, 2);
    assert_eq!((ended.state, ended.steps), (State::Completed, STEPS_MAX));
}

/// What the outside may do to a job, with tokens both right and stale.
fn any_command() -> impl Strategy<Value = Command> {
    let fence = (0u64..8).prop_map(Fence);
    let note = prop_oneof![
        (-10.0..120.0f64).prop_map(|percent| Note::Progress(Progress::percent(percent, ""))),
        Just(Note::Output(Json::null())),
    ];
    let notes = proptest::collection::vec(note, 0..3);
    let ending = prop_oneof![
        Just(Ending::Completed(Json::null())),
        Just(failed()),
        Just(postponed()),
        Just(Ending::Cancelled),
        Just(Ending::Expired),
        Just(Ending::Released),
    ];
    prop_oneof![
        4 => (0..60_000i64).prop_map(claim),
        1 => (fence.clone(), 0..60_000i64).prop_map(|(fence, until)| Command::Heartbeat { fence, until: at(until) }),
        3 => (fence.clone(), notes.clone()).prop_map(|(fence, notes)| Command::Append { fence, notes }),
        2 => (fence, notes, ending, any::<u32>())
            .prop_map(|(fence, notes, ending, dice)| Command::Finish { fence, notes, ending, dice: Dice(dice) }),
        1 => Just(Command::Cancel { reason: None }),
        1 => Just(Command::Lapse),
        1 => Just(Command::WorkerDied),
        1 => Just(Command::Expire),
    ]
}

fn token(command: &Command) -> Option<Fence> {
    match command {
        Command::Heartbeat { fence, .. } | Command::Append { fence, .. } | Command::Finish { fence, .. } => {
            Some(*fence)
        }
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_promises_hold_for_any_sequence_of_commands(
        commands in proptest::collection::vec((any_command(), 0..3_000i64), 1..60),
    ) {
        let (mut life, mut now, mut log) = (accepted(), 0, Vec::<Event>::new());
        for (command, pause) in commands {
            now += pause;
            let stale = token(&command).is_some_and(|fence| fence != life.fence || life.state != State::Running);
            let is_claim = matches!(command, Command::Claim { .. });
            let decision = decide(&life, &rules(), command, at(now));
            prop_assert!(!(stale && decision.is_ok()), "a stale token changed something");
            let Ok(Decision { life: next, events }) = decision else { continue };
            let before = life.state_at(at(now));
            let known = before == next.state_at(at(now))
                || TRANSITIONS.iter().any(|(from, to, _)| (*from, *to) == (before, next.state));
            prop_assert!(known, "{before} -> {} is not in the table", next.state);
            prop_assert!(next.fence >= life.fence && (next.state != State::Running || !is_claim || next.fence > life.fence));
            prop_assert_eq!(next.lease.is_some(), next.state == State::Running);
            log.extend(events);
            life = next;
        }
        check_log(&log, &life)?;
    }
}

fn check_log(log: &[Event], life: &Life) -> Result<(), TestCaseError> {
    let numbers: Vec<u64> = log.iter().map(|event| event.seq).collect();
    prop_assert_eq!(numbers, (2..=life.last_seq).collect::<Vec<_>>(), "numbered without gaps");
    let finals = log.iter().filter(|event| event.body.event_type().is_final()).count();
    prop_assert_eq!(finals, usize::from(life.state.is_final()), "one final event, in a final state");
    for pair in log.windows(2) {
        prop_assert!(pair[0].attempt <= pair[1].attempt && !pair[0].body.event_type().is_final());
    }
    let reports = log.iter().filter_map(|event| match &event.body {
        EventBody::Progress(progress) => Some((event.attempt, progress.percent)),
        _ => None,
    });
    let reports: Vec<(u32, f64)> = reports.collect();
    for pair in reports.windows(2) {
        prop_assert!(pair[0].0 != pair[1].0 || pair[0].1 <= pair[1].1, "progress fell within an attempt");
    }
    Ok(())
}
