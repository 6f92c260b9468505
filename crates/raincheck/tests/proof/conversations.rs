//! Promise: what the user says, the answer to come and its job are stored together, the answer is settled with the end of the
//! job, and the turns of a conversation come one after the other, whatever `kill -9` interrupts.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use rand::RngExt;
use serde_json::Value;

use super::http::Http;
use super::job;
use super::server::Launch;
use super::stage::{Client, Stage};
use super::trial::{chance, rounds};
use crate::support::Place;

const CONVERSATIONS: u64 = 3;
/// Two tabs on each.
const TABS: u64 = 2;

/// Quick ones, some that are killed in the middle, and some that fail.
fn turn(tab: u64, number: u64, part: u64) -> String {
    let job = match part % 4 {
        0 => r#"{"kind": "sleep", "input": {"seconds": 0.05}}"#,
        1 => r#"{"kind": "sleep", "input": {"seconds": 0.01, "fail": true}, "max_attempts": 1}"#,
        _ => r#"{"kind": "echo", "input": "said"}"#,
    };
    format!(r#"{{"content": "{tab}-{number}", "job": {job}}}"#)
}

/// Talks until the stage is over; gives what was said, and the job that answers each.
fn talk(stage: &Stage, conversation: &str, tab: u64) -> BTreeMap<String, String> {
    let mut chance = chance(tab);
    let mut client = Client::new(stage);
    let mut said = BTreeMap::new();
    let path = format!("/v1/conversations/{conversation}/messages");
    for number in 0.. {
        if stage.is_over() {
            break;
        }
        let (key, body) = (format!("{tab}-{number}"), turn(tab, number, chance.random()));
        let answer = client.certain(|http| http.request("POST", &path, &[("idempotency-key", &key)], &body));
        assert_eq!(answer.status, 202, "{answer}");
        said.insert(key, answer.id());
        thread::sleep(Duration::from_micros(chance.random_range(0..40_000)));
    }
    said
}

#[test]
fn no_answer_is_lost_doubled_or_left_open_by_kills_at_random() {
    let place = Place::new();
    let mut server = Launch::at(&place).start();
    let mut http = server.http();
    let begin = |_| http.request("POST", "/v1/conversations", &[], "{}").expect("an answer").id();
    let conversations: Vec<String> = (0..CONVERSATIONS).map(begin).collect();
    let stage = Stage::new(server.address());
    let kills = rounds(8);
    let said: Vec<BTreeMap<String, String>> = thread::scope(|scope| {
        let curtain = stage.curtain();
        let (stage, conversations) = (&stage, &conversations);
        let of = |tab: u64| &conversations[usize::try_from(tab / TABS).expect("few")];
        let tabs: Vec<_> =
            (0..CONVERSATIONS * TABS).map(|tab| scope.spawn(move || talk(stage, of(tab), tab))).collect();
        let mut chance = chance(99);
        for _ in 0..kills {
            // Chance itself is what is waited for: it decides where the kill falls.
            thread::sleep(Duration::from_millis(chance.random_range(1..400)));
            server.kill();
            stage.gone();
            stage.here(server.start_again());
        }
        drop(curtain);
        tabs.into_iter().map(|tab| tab.join().expect("a tab")).collect()
    });
    let mut http = server.http();
    let mut turns = 0;
    for (conversation, tabs) in conversations.iter().zip(said.chunks(usize::try_from(TABS).expect("few"))) {
        let said: BTreeMap<&str, &str> = tabs.iter().flatten().map(|(key, job)| (key.as_str(), job.as_str())).collect();
        turns += said.len();
        check(&mut http, conversation, &said);
    }
    println!("{kills} kills; {turns} turns in {CONVERSATIONS} conversations");
}

/// Each thing said is there once with its answer behind it, settled as its job ended; and no job began before the one before
/// it had ended.
fn check(http: &mut Http, conversation: &str, said: &BTreeMap<&str, &str>) {
    let ended: BTreeMap<&str, Value> = said.values().map(|id| (*id, job::check_ended(http, id))).collect();
    let messages = messages(http, conversation);
    assert_eq!(messages.len(), 2 * said.len(), "messages are lost or doubled");
    let mut last_end = String::new();
    for (index, pair) in messages.chunks(2).enumerate() {
        let [question, answer] = pair else { panic!("a question without an answer: {pair:?}") };
        assert_eq!(question["number"], 2 * index + 1, "a gap");
        let id = said[question["content"].as_str().expect("text")];
        assert_eq!((question["job"].as_str(), answer["job"].as_str()), (Some(id), Some(id)));
        let job = &ended[id];
        assert_eq!(answer["state"], job["state"], "an answer that does not say how its job ended: {answer}");
        assert_eq!(answer.get("content"), job.get("result"), "{answer}");
        assert_eq!(answer["finished_at"], job["finished_at"], "{answer}");
        let started = job["started_at"].as_str().expect("a start");
        assert!(started >= last_end.as_str(), "{id} began at {started}, before {last_end}");
        last_end = job["finished_at"].as_str().expect("an end").to_owned();
    }
}

fn messages(http: &mut Http, conversation: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/conversations/{conversation}/messages?limit=100{cursor}");
        let page = http.get(&path).expect("an answer").json();
        all.extend(page["messages"].as_array().expect("messages").iter().cloned());
        let Some(next) = page["next"].as_u64() else { return all };
        cursor = format!("&cursor={next}");
    }
}
