use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn keyed(key: &str) -> Line {
    Line { concurrency_key: Some(key.parse().unwrap()), ..line("a") }
}

fn jobs<const N: usize>() -> [JobKey; N] {
    let mut minter = Minter::after(None);
    std::array::from_fn(|_| minter.mint(at(0), 0).key())
}

fn take(ready: &mut ReadySet) -> Option<JobKey> {
    ready.take(&line("a").kind, &mut Openings::default()).map(|(job, _)| job)
}

#[test]
fn the_next_of_a_key_is_ready_when_the_one_before_has_ended() {
    let mut ready = ReadySet::default();
    let [a, b, other, c] = jobs();
    for job in [a, b, c] {
        ready.insert(job, &keyed("k"), at(0), at(0));
    }
    ready.insert(other, &keyed("l"), at(0), at(0));
    assert_eq!([take(&mut ready), take(&mut ready), take(&mut ready)], [Some(a), Some(other), None]);
    assert_eq!((ready.len(), ready.waiting(&Tenant::default())), (2, 2));
    // It waits for its next attempt, and holds the key meanwhile.
    ready.insert(a, &keyed("k"), at(50), at(0));
    assert_eq!((ready.advance(at(10)), take(&mut ready)), (Some(at(50)), None));
    ready.advance(at(50));
    assert_eq!((take(&mut ready), take(&mut ready)), (Some(a), None));
    ready.end(a, &keyed("k"), at(60));
    assert_eq!((take(&mut ready), take(&mut ready)), (Some(b), None));
    ready.end(b, &keyed("k"), at(60));
    assert_eq!(take(&mut ready), Some(c));
    assert!(ready.is_empty());
}

#[test]
fn one_that_ends_before_its_turn_leaves_the_others_in_theirs() {
    let mut ready = ReadySet::default();
    let [a, b, c] = jobs();
    [a, b, c].into_iter().for_each(|job| ready.insert(job, &keyed("k"), at(0), at(0)));
    assert!(ready.remove(b, &keyed("k"), at(0)));
    ready.end(b, &keyed("k"), at(0));
    assert!(ready.remove(a, &keyed("k"), at(0)));
    assert!(!ready.remove(a, &keyed("k"), at(0)));
    ready.end(a, &keyed("k"), at(0));
    assert_eq!((take(&mut ready), take(&mut ready), ready.len()), (Some(c), None, 0));
}

#[test]
fn a_key_belongs_to_a_tenant() {
    let mut ready = ReadySet::default();
    let [a, b] = jobs();
    ready.insert(a, &keyed("k"), at(0), at(0));
    ready.insert(b, &Line { tenant: "other".parse().unwrap(), ..keyed("k") }, at(0), at(0));
    assert_eq!([take(&mut ready), take(&mut ready)], [Some(a), Some(b)]);
}

#[test]
fn what_comes_back_takes_its_turn_again() {
    // As when a transaction is undone, or a store read: the earlier job comes after the later one.
    let mut ready = ReadySet::default();
    let [a, b] = jobs();
    ready.insert(b, &keyed("k"), at(0), at(0));
    ready.hold(a, &keyed("k"));
    assert_eq!(take(&mut ready), None);
    ready.insert(a, &keyed("k"), at(0), at(0));
    assert_eq!([take(&mut ready), take(&mut ready)], [Some(a), None]);
    ready.end(a, &keyed("k"), at(0));
    assert_eq!(take(&mut ready), Some(b));
}

#[test]
fn the_place_counts_those_that_must_end_before() {
    let mut ready = ReadySet::default();
    let [other, a, b, c] = jobs();
    ready.insert(other, &line("a"), at(0), at(0));
    [a, b, c].into_iter().for_each(|job| ready.insert(job, &keyed("k"), at(0), at(0)));
    let place = |ready: &ReadySet, job| ready.place(job, &keyed("k"));
    assert_eq!(place(&ready, a), Some(Place { ahead: 1, waiting: 2, behind: 0 }));
    assert_eq!(place(&ready, c), Some(Place { ahead: 3, waiting: 4, behind: 2 }));
    assert_eq!([take(&mut ready), take(&mut ready)], [Some(other), Some(a)]);
    assert_eq!(place(&ready, b), Some(Place { ahead: 1, waiting: 2, behind: 1 }));
}

proptest! {
    /// Whatever happens: of each key no more than one runs, it is the oldest, and nobody is forgotten.
    #[test]
    fn of_each_key_the_oldest_runs_alone(steps in proptest::collection::vec((0u8..5, 0usize..8, 0u8..3), 1..200)) {
        let mut ready = ReadySet::default();
        let mut minter = Minter::after(None);
        let mut now = 0;
        // What has not ended, by age: its line, and when it may run unless it runs.
        let mut open: BTreeMap<JobKey, (Line, Option<Time>)> = BTreeMap::new();
        for (step, pick, key) in steps {
            now += 1;
            let line = if key == 0 { line("a") } else { keyed(&key.to_string()) };
            let running = open.iter().filter(|(_, (_, run_at))| run_at.is_none()).nth(pick).map(|(job, _)| *job);
            match step {
                0 | 1 => {
                    let job = minter.mint(at(now), 0).key();
                    let run_at = at(now + i64::from(step) * 5);
                    ready.insert(job, &line, run_at, at(now));
                    open.insert(job, (line, Some(run_at)));
                }
                2 => {
                    ready.advance(at(now));
                    if let Some((job, line)) = ready.take(&line.kind, &mut Openings::default()) {
                        prop_assert_eq!(&open[&job].0, &line);
                        let mine = |other: &Line| line.concurrency_key.is_some() && *other == line;
                        prop_assert!(open.range(..job).all(|(_, (other, _))| !mine(other)));
                        open.get_mut(&job).unwrap().1 = None;
                    }
                }
                3 => if let Some(job) = running {
                    let (line, run_at) = open.get_mut(&job).unwrap();
                    *run_at = Some(at(now + 3));
                    ready.insert(job, line, at(now + 3), at(now));
                },
                _ => {
                    let any = running.or_else(|| open.keys().nth(pick).copied());
                    if let Some((job, (line, run_at))) = any.and_then(|job| open.remove_entry(&job)) {
                        if let Some(run_at) = run_at {
                            prop_assert!(ready.remove(job, &line, run_at));
                        }
                        ready.end(job, &line, at(now));
                    }
                }
            }
            prop_assert_eq!(ready.len(), open.values().filter(|(_, run_at)| run_at.is_some()).count());
        }
        let mut rest = 0;
        let waiting = ready.len();
        open.iter().filter(|(_, (_, run_at))| run_at.is_none()).for_each(|(job, (line, _))| ready.end(*job, line, at(now)));
        for later in 1..=waiting {
            ready.advance(at(now + 100 + i64::try_from(later).unwrap()));
            if let Some((job, line)) = ready.take(&line("a").kind, &mut Openings::default()) {
                ready.end(job, &line, at(now + 100));
                rest += 1;
            }
        }
        prop_assert_eq!((rest, ready.len()), (waiting, 0));
    }
}
