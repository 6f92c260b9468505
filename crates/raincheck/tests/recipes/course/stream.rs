use std::thread;
use std::time::{Duration, SystemTime};

use raincheck_core::Time;
use serde_json::{Value, json};

use super::super::follow::{events, socket_events};
use super::{Asked, Platform, QUESTION, answer, ask, constant};
use crate::proof::{allowed, now, within};
use crate::support::{Server, post, read_until, request};

/// A provider that writes slowly enough to be watched: 40 words in 1.2 s.
fn writer() -> Value {
    json!({ "behaviour": { "first_token_ms": { "constant": 50 }, "per_token_ms": { "constant": 30 }, "output_tokens": { "constant": 40 } } })
}

fn page(asked: &Asked) -> String {
    format!("/api/assistant/jobs/{}", asked.job)
}

/// The stream of a job, from its first event or behind the one that was seen last.
fn stream(server: &Server, asked: &Asked, seen: Option<&str>) -> Vec<(String, String, Value)> {
    let mut headers = vec![("accept", "text/event-stream")];
    headers.extend(seen.map(|seen| ("last-event-id", seen)));
    events(&request(server.address, "GET", &page(asked), &headers, "").body)
}

fn text(told: &[(String, String, Value)]) -> String {
    told.iter().filter(|(_, name, _)| name == "output").filter_map(|(_, _, data)| data["text"].as_str()).collect()
}

/// Rows A4 and A13: who is cut off in the middle, who comes back, and who comes in another tab.
#[test]
fn whoever_comes_back_is_told_what_was_missed_and_nothing_twice() {
    let platform = Platform::new(&writer());
    let server = platform.serve();
    let asked = ask(&server, QUESTION, None);
    let (first, [whole, beside]) = thread::scope(|scope| {
        let tabs = [0, 1].map(|_| scope.spawn(|| stream(&server, &asked, None)));
        // A connection that is gone in the middle of the text.
        let begun = events(&read_until(server.address, &page(&asked), "event: output"));
        let last: u64 = begun.last().and_then(|(seen, ..)| seen.parse().ok()).unwrap_or(0);
        let begun = events(&read_until(server.address, &page(&asked), &format!("id: {}", last + 8)));
        (begun, tabs.map(|tab| tab.join().expect("a tab")))
    });
    let rest = stream(&server, &asked, first.last().map(|(seen, ..)| seen.as_str()));
    assert_eq!([&first[..], &rest[..]].concat(), whole);
    assert_eq!(beside, whole);
    let (_, last, told) = whole.last().unwrap();
    assert_eq!((last.as_str(), &told["jobId"]), ("ended", &json!(asked.job)));
    assert_eq!(told["answer"], text(&whole), "what was told piece by piece is the answer");
    assert!(text(&whole).split(' ').count() >= 30 && !text(&first).is_empty());
    assert!(whole.iter().any(|(_, name, data)| name == "progress" && data["message"] == "Thinking..."), "{whole:?}");
    assert_eq!(platform.calls(), 1, "nobody who watches has it written again");
    // Row A15: what the model is told is told to nobody else.
    assert!(!json!([told, whole]).to_string().contains("You help learners"));
    // A reload shows the conversation as it is.
    let messages = server.get(&format!("/api/assistant/conversations/{}", asked.conversation)).json();
    let shown = &messages["messages"];
    assert_eq!((&shown[0]["content"], &shown[1]["content"]), (&json!(QUESTION), &told["result"]), "{messages}");
}

/// Row A4: by server-sent events and by a WebSocket.
#[test]
fn the_answer_is_pushed_at_once() {
    let platform = Platform::new(&constant(300));
    let server = platform.serve();
    let mut late = Vec::new();
    for _ in 0..10 {
        let asked = ask(&server, QUESTION, None);
        let path = page(&asked);
        let told = thread::scope(|scope| {
            let by_stream = scope.spawn(|| (stream(&server, &asked, None), wall_clock()));
            let by_socket = scope.spawn(|| (socket_events(server.address, &path), wall_clock()));
            [by_stream, by_socket].map(|tab| tab.join().expect("a tab"))
        });
        let ended: Time =
            server.get(&format!("/v1/jobs/{}", asked.job)).json()["finished_at"].as_str().unwrap().parse().unwrap();
        for (told, at) in told {
            let (_, name, page) = told.last().unwrap();
            assert!(name == "ended" && page["jobId"] == asked.job.as_str() && page["answer"].is_string(), "{page}");
            late.push(at.since(ended));
        }
    }
    late.sort();
    let asked = now();
    assert_eq!(server.get("/healthz").status, 200);
    let max = allowed(Duration::from_millis(100), asked.elapsed());
    println!("pushed within {:?} at most, half of them within {:?}", late[late.len() - 1], late[late.len() / 2]);
    assert!(late[late.len() / 2] < max, "{late:?}");
}

/// The time of day, by which the server says when a job ended.
#[expect(clippy::disallowed_methods, reason = "compared with the server's own")]
fn wall_clock() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later than 1970");
    Time::from_millis(i64::try_from(since.as_millis()).expect("it is not that late"))
}

/// Row A14.
#[test]
fn who_stops_it_has_it_stopped_within_a_second_and_keeps_what_there_is() {
    let slow = json!({ "behaviour": { "per_token_ms": { "constant": 50 }, "output_tokens": { "constant": 600 } } });
    let platform = Platform::new(&slow);
    let server = platform.serve();
    let asked = ask(&server, QUESTION, None);
    read_until(server.address, &page(&asked), "event: output");
    let stop = now();
    let reply = post(server.address, &format!("{}/cancel", page(&asked)), "");
    assert_eq!(reply.status, 200, "{reply:?}");
    let under_way = || platform.ledger()["total"]["under_way"].as_u64();
    within(Duration::from_secs(1), "the provider has stopped", || (under_way() == Some(0)).then_some(()));
    println!("stopped within {:?}", stop.elapsed());
    assert_eq!(answer(&server, &asked)["status"], "cancelled");
    let told = stream(&server, &asked, None);
    assert!(!text(&told).is_empty(), "{told:?}");
    assert_eq!((told.last().unwrap().1.as_str(), &told.last().unwrap().2["status"]), ("ended", &json!("cancelled")));
    let messages = server.get(&format!("/api/assistant/conversations/{}", asked.conversation)).json();
    assert_eq!(messages["messages"][1]["state"], "cancelled");
    // It can be stopped again, and the conversation goes on.
    assert_eq!(post(server.address, &format!("{}/cancel", page(&asked)), "").status, 200);
    assert_eq!(platform.ledger()["total"]["aborted"], 1);
}
