use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Platform, QUESTION, answer, ask, constant, jobs};
use crate::proof::within;
use crate::support::{Server, post};

/// Asks from four tabs at once, three times each; gives the jobs.
fn crowd(server: &Server, conversation: &str) -> Vec<super::Asked> {
    let tab = |tab: usize| {
        let question = move |number: usize| format!("Question {number} of tab {tab}: what is an index?");
        (0..3).map(|number| ask(server, &question(number), Some(conversation))).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let tabs: Vec<_> = (0..4).map(|number| scope.spawn(move || tab(number))).collect();
        tabs.into_iter().flat_map(|tab| tab.join().expect("a tab")).collect()
    })
}

/// Row A3.
#[test]
fn a_conversation_is_summed_up_once_for_every_sixteen_messages_whoever_asks_and_whatever_crashes() {
    let platform = Platform::new(&constant(20));
    let server = platform.serve();
    let begun = post(server.address, "/v1/conversations", "{}").json();
    let conversation = begun["id"].as_str().unwrap();
    let mut asked = crowd(&server, conversation);
    within(Duration::from_secs(30), "a summary is asked for", || {
        (!jobs(&server, "course.summary").is_empty()).then_some(())
    });
    server.kill();
    let server = platform.serve();
    asked.extend(crowd(&server, conversation));
    for asked in &asked {
        assert_eq!(answer(&server, asked)["status"], "completed");
    }
    let summaries = within(Duration::from_secs(30), "all summaries", || {
        let all = jobs(&server, "course.summary");
        (all.len() >= 3 && all.iter().all(|job| job["state"] == "completed")).then_some(all)
    });
    let up_to: Vec<Value> = summaries.iter().rev().map(|job| job_of(&server, job)["result"]["upTo"].clone()).collect();
    assert_eq!(up_to, [16, 32, 48]);
    for summary in &summaries {
        let summary = job_of(&server, summary);
        // Accepted with the end of the job that had it made: its answer was there before.
        let parent = server.job(summary["parent"].as_str().unwrap());
        assert!(parent["finished_at"].as_str() <= summary["started_at"].as_str(), "{summary}");
        assert_eq!(summary["priority"], "P2");
        let calls = platform.calls_of(summary["id"].as_str().unwrap(), "sum_up");
        // The server may have been killed while the provider was at it, and nobody knows.
        assert!(calls == 1 || (calls == 2 && summary["attempt"] == 2), "{calls} calls of {summary}");
    }
    let told = server.get(&format!("/v1/conversations/{conversation}")).json();
    assert_eq!((&told["messages"], &told["summary"]["up_to"]), (&json!(48), &json!(48)), "{told}");
}

fn job_of(server: &Server, listed: &Value) -> Value {
    server.job(listed["id"].as_str().expect("an id"))
}

#[test]
fn what_should_have_been_summed_up_behind_an_answer_that_was_stopped_is_behind_the_next() {
    let platform = Platform::new(&constant(1));
    let server = platform.serve();
    let first = ask(&server, QUESTION, None);
    for _ in 2..=7 {
        answer(&server, &ask(&server, QUESTION, Some(&first.conversation)));
    }
    platform.faults(&json!([{ "fault": { "kind": "hang" }, "model": "gpt-5" }]));
    let stopped = ask(&server, QUESTION, Some(&first.conversation));
    within(Duration::from_secs(20), "it hangs", || (platform.calls_of(&stopped.job, "rewrite") == 1).then_some(()));
    assert_eq!(post(server.address, &format!("/api/assistant/jobs/{}/cancel", stopped.job), "").status, 200);
    assert_eq!(answer(&server, &stopped)["status"], "cancelled");
    platform.healed();
    assert_eq!(jobs(&server, "course.summary").len(), 0);
    for _ in 9..=10 {
        answer(&server, &ask(&server, QUESTION, Some(&first.conversation)));
    }
    let summary = within(Duration::from_secs(20), "a summary", || {
        jobs(&server, "course.summary").into_iter().find(|job| job["state"] == "completed")
    });
    assert_eq!(job_of(&server, &summary)["result"]["upTo"], 16);
    assert_eq!(jobs(&server, "course.summary").len(), 1);
}
