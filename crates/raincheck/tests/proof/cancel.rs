//! Promise: a job ends exactly once even if cancel and completion race; once a cancel was acknowledged no attempt starts,
//! and a job that ended otherwise says so to whoever tries to cancel it, and stays as it was.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;

use rand::RngExt;
use serde_json::Value;

use super::http::Http;
use super::job::{self, kind_of};
use super::server::{Launch, Server};
use super::trial::{chance, rounds};
use crate::support::Place;

const BATCH: usize = 500;
const CANCELLERS: u64 = 4;

/// Accepts jobs that take no time, or hardly any.
fn submit(http: &mut Http) -> Vec<String> {
    let jobs: Vec<Value> = (0..BATCH)
        .map(|number| match number % 3 {
            0 => serde_json::json!({"kind": "echo", "input": number}),
            1 => serde_json::json!({"kind": "sleep", "input": {"seconds": 0.02}}),
            _ => serde_json::json!({"kind": "sleep", "input": {"seconds": 0.5}, "delay": 0.05}),
        })
        .collect();
    let body = serde_json::json!({ "jobs": jobs }).to_string();
    let answer = http.request("POST", "/v1/jobs:batch", &[], &body).expect("an answer");
    assert_eq!(answer.status, 202, "{answer}");
    let entries = answer.json();
    entries["jobs"].as_array().expect("jobs").iter().map(|job| job["job"]["id"].as_str().expect("id").into()).collect()
}

/// What a canceller was told: acknowledged, or the job's final state.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Acknowledged,
    AlreadyEnded,
}

fn cancel_some(server: &Server, ids: &[String], part: u64) -> Vec<(String, Told)> {
    let (mut http, mut chance) = (server.http(), chance(part));
    let picks = (0..ids.len() / 2).map(|_| ids[chance.random_range(0..ids.len())].clone());
    picks
        .map(|id| {
            let answer = http.request("POST", &format!("/v1/jobs/{id}/cancel"), &[], "").expect("an answer");
            let told = match answer.status {
                200 => Told::Acknowledged,
                409 if answer.problem() == "job-finished" => Told::AlreadyEnded,
                _ => panic!("{answer}"),
            };
            (id, told)
        })
        .collect()
}

fn check(http: &mut Http, id: &str, told: &[Told]) -> String {
    let job = job::check_ended(http, id);
    let log = job::log(http, id);
    let story = || format!("told {told:?}: {}", job::types(&log));
    let state = job["state"].as_str().expect("a state").to_owned();
    let acknowledged = told.contains(&Told::Acknowledged);
    let position = |kind: &str| log.iter().position(|event| kind_of(event) == kind);
    let asked = position("cancel_requested").or(position("cancelled"));
    assert!(!acknowledged || asked.is_some(), "acknowledged, and not in the log: {}", story());
    assert!(acknowledged || asked.is_none(), "cancelled without anybody being told: {}", story());
    if let Some(asked) = asked {
        assert!(log[asked..].iter().all(|event| kind_of(event) != "started"), "started after cancel: {}", story());
        assert!(["cancelled", "completed"].contains(&state.as_str()), "{}", story());
    } else {
        assert_eq!(state, "completed", "{}", story());
    }
    if told.contains(&Told::AlreadyEnded) {
        assert_eq!(state, "completed", "it changed after it had ended: {}", story());
    }
    state
}

#[test]
fn cancel_and_completion_race_and_one_of_them_wins() {
    let place = Place::new();
    let server = Launch::at(&place).start();
    let (mut cancels, mut ended) = (0, BTreeMap::<String, usize>::new());
    for round in 0..rounds(4) {
        let ids = Mutex::new(Vec::new());
        let told: Vec<(String, Told)> = thread::scope(|scope| {
            let mut all = Vec::new();
            for part in 0..CANCELLERS {
                let batch = submit(&mut server.http());
                ids.lock().expect("lock").extend(batch.clone());
                let part = round as u64 * CANCELLERS + part;
                let server = &server;
                all.push(scope.spawn(move || cancel_some(server, &batch, part)));
            }
            all.into_iter().flat_map(|canceller| canceller.join().expect("a canceller")).collect()
        });
        cancels += told.len();
        let mut by_job = BTreeMap::<&String, Vec<Told>>::new();
        told.iter().for_each(|(id, told)| by_job.entry(id).or_default().push(told.clone()));
        let mut http = server.http();
        for id in ids.lock().expect("lock").iter() {
            let state = check(&mut http, id, by_job.get(id).map_or(&[], Vec::as_slice));
            *ended.entry(state).or_default() += 1;
        }
    }
    println!("{cancels} cancels; ended as {ended:?}");
    assert!(ended.len() == 2, "nothing raced: {ended:?}");
}
