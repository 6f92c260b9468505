use std::collections::BTreeMap;

use raincheck_core::{Event, EventBody, Json, Outcome};

use super::world::Seen;

/// What is wrong with a job, by its log and by what its client saw. `peaceful` if nothing went wrong around it.
pub(crate) fn job(seen: &Seen, log: &[Event], peaceful: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let mut expect = |holds: bool, promise: &str| {
        if !holds {
            faults.push(format!("broken: {promise}; the log: {}", types(log)));
        }
    };
    expect(seen.ids.iter().all(|id| *id == seen.ids[0]), "one idempotency key, one job");
    let numbered = log.iter().map(|event| event.seq).eq(1..=log.len() as u64);
    expect(numbered, "events are numbered without gaps");
    let finals = log.iter().filter(|event| event.body.event_type().is_final()).count();
    let last_is_final = log.last().is_some_and(|event| event.body.event_type().is_final());
    expect(finals == 1 && last_is_final, "exactly one final event, and it is the last");
    expect(log.windows(2).all(|pair| pair[0].attempt <= pair[1].attempt), "no attempt writes after a later one began");
    expect(one_attempt_at_a_time(log), "an attempt begins only after the one before was ended");
    expect(progress_never_falls(log), "progress never falls within an attempt");
    expect(steps_once(log), "a step is recorded once, and the result is made of the records");
    expect(deadline_kept(log), "nothing starts after the deadline");
    if let Some(seq) = seen.cancelled_at_seq {
        let started = log.iter().any(|event| event.seq > seq && matches!(event.body, EventBody::Started(_)));
        expect(!started, "no attempt starts after a cancel was acknowledged");
    }
    if let Some(followed) = &seen.followed {
        expect(followed == log, "a follower gets every event once and in order");
    }
    if peaceful {
        let lost = log.iter().any(|event| matches!(event.body, EventBody::LeaseLost(_)));
        expect(!lost, "a worker that is alive is never overtaken");
    }
    faults
}

/// The log in short.
pub(crate) fn types(log: &[Event]) -> String {
    let types: Vec<String> = log.iter().map(|event| format!("{}@{}", event.body.event_type(), event.attempt)).collect();
    types.join(" ")
}

fn one_attempt_at_a_time(log: &[Event]) -> bool {
    let mut running = false;
    log.iter().all(|event| match &event.body {
        EventBody::Started(_) => !std::mem::replace(&mut running, true),
        EventBody::RetryScheduled(..) | EventBody::Postponed(..) | EventBody::LeaseLost(_) | EventBody::Released(_) => {
            std::mem::replace(&mut running, false)
        }
        EventBody::Progress(_)
        | EventBody::Output(_)
        | EventBody::Step(_)
        | EventBody::FollowUp(_)
        | EventBody::CancelRequested(_) => running,
        EventBody::Accepted(_) | EventBody::LogFull(_) | EventBody::Finished(_) => true,
    })
}

fn progress_never_falls(log: &[Event]) -> bool {
    let mut highest = BTreeMap::<u32, f64>::new();
    log.iter().all(|event| match &event.body {
        EventBody::Progress(progress) => {
            let before = highest.insert(event.attempt, progress.percent);
            before.is_none_or(|before| before <= progress.percent)
        }
        _ => true,
    })
}

fn steps_once(log: &[Event]) -> bool {
    let mut records = BTreeMap::<&str, &Json>::new();
    let once = log.iter().all(|event| match &event.body {
        EventBody::Step(step) => records.insert(&step.name, &step.result).is_none(),
        _ => true,
    });
    let result = log.last().and_then(|event| match &event.body {
        EventBody::Finished(Outcome::Completed(result)) => Some(result.parse::<Vec<u64>>().unwrap()),
        _ => None,
    });
    let of_records = || records.values().map(|result| result.parse::<u64>().unwrap()).collect::<Vec<u64>>();
    once && result.is_none_or(|result| result == of_records())
}

fn deadline_kept(log: &[Event]) -> bool {
    let Some(EventBody::Accepted(spec)) = log.first().map(|event| &event.body) else { return false };
    let Some(deadline) = spec.deadline else { return true };
    log.iter().all(|event| !matches!(event.body, EventBody::Started(_)) || event.at < deadline)
}
