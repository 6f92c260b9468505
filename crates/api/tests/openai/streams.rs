use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use http_body_util::BodyExt;
use raincheck_api::ApiSettings;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{RESPONSES, create, ended, events, path, told, types};
use crate::support::{Server, request};

async fn next(body: &mut Body) -> Option<String> {
    let frame = body.frame().await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}

async fn open(server: &Server, method: Method, path: &str, body: &str) -> Body {
    let response = server.router.clone().oneshot(request(method, path, &[], body)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    response.into_body()
}

#[tokio::test]
async fn a_stream_tells_the_whole_life_of_a_response_under_numbers_without_gaps() {
    let server = Server::dialects().await;
    let body = json!({ "model": "m", "input": "hello", "background": true, "stream": true }).to_string();
    let reply = server.post(RESPONSES, &body).await;
    assert_eq!(reply.status, StatusCode::OK);
    let told = events(reply.text());
    let mut names = types(&told);
    names.dedup();
    assert_eq!(
        names,
        [
            "response.created",
            "response.queued",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let numbers: Vec<u64> = told.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..told.len() as u64).collect::<Vec<_>>());
    let ids: Vec<&Value> = told.iter().filter_map(|event| event.pointer("/response/id")).collect();
    assert!(ids.iter().all(|id| *id == ids[0] && id.as_str().unwrap().starts_with("resp_")), "{ids:?}");
    let text: String = told.iter().filter_map(|event| event["delta"].as_str()).collect();
    let response = &told.last().unwrap()["response"];
    assert_eq!(response["output"][0]["content"][0]["text"], text);
    assert_eq!(
        &server.get(&path(response, "")).await.json(),
        response,
        "what a stream says last is what is read later"
    );
    assert!(reply.text().contains("\"exact\":1.10"), "numbers keep their digits");
}

#[tokio::test]
async fn every_reader_is_told_the_same_and_goes_on_after_any_number() {
    let server = Server::dialects().await;
    let response = create(&server, "wait").await;
    let mut live = open(&server, Method::GET, &path(&response, "?stream=true"), "").await;
    server.until(&super::job(&response), "output").await;
    server.gate.notify_one();
    let mut text = String::new();
    while let Some(chunk) = next(&mut live).await {
        text.push_str(&chunk);
    }
    let all = told(&server, &response, "?stream=true").await;
    assert_eq!(events(&text), all);
    for after in 0..all.len() {
        let rest = told(&server, &response, &format!("?stream=true&starting_after={after}")).await;
        assert_eq!(rest, all[after + 1..], "after {after}");
    }
    let nothing = server.get(&path(&response, "?starting_after=3")).await;
    assert_eq!(nothing.status, StatusCode::BAD_REQUEST);
}

/// For as long as the job is kept, which is a week unless it asks otherwise.
#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_after_any_number_days_later() {
    const DAY: Duration = Duration::from_secs(24 * 3_600);
    let server = Server::in_time().await;
    let response = create(&server, "wait").await;
    server.until(&super::job(&response), "output").await;
    // A reader goes away in the middle of it.
    let mut live = open(&server, Method::GET, &path(&response, "?stream=true"), "").await;
    let begun = events(&next(&mut live).await.unwrap());
    drop(live);
    server.gate.notify_one();
    ended(&server, &response).await;
    let all = told(&server, &response, "?stream=true").await;
    assert_eq!(begun, all[..begun.len()]);
    for days in [1, 2, 3] {
        tokio::time::advance(DAY * days).await;
        // Whatever is swept away after days has been.
        tokio::time::sleep(Duration::from_secs(120)).await;
        for after in 0..all.len() {
            let rest = told(&server, &response, &format!("?stream=true&starting_after={after}")).await;
            assert_eq!(rest, all[after + 1..], "after {after}, another {days} days later");
        }
    }
    tokio::time::advance(DAY).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(server.get(&path(&response, "?stream=true&starting_after=3")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn text_that_starts_anew_closes_what_was_open_and_comes_at_a_new_place() {
    let server = Server::dialects().await;
    let response = create(&server, "anew").await;
    let response = ended(&server, &response).await;
    assert_eq!(response["status"], "completed");
    let all = told(&server, &response, "?stream=true").await;
    let names = types(&all);
    assert_eq!(names.iter().filter(|name| **name == "response.created").count(), 1);
    assert_eq!(names.iter().filter(|name| **name == "response.in_progress").count(), 1);
    let items = |name: &str| -> Vec<(u64, &str, &str)> {
        let of = |event: &'static str| all.iter().filter(move |other| other["type"] == event);
        let name: &'static str =
            if name == "added" { "response.output_item.added" } else { "response.output_item.done" };
        of(name)
            .map(|event| {
                let text = |field: &str| event["item"][field].as_str().unwrap();
                (event["output_index"].as_u64().unwrap(), text("id"), text("status"))
            })
            .collect()
    };
    assert_eq!(items("added"), [(0, "msg_1", "in_progress"), (1, "msg_1_2", "in_progress")]);
    assert_eq!(items("done"), [(0, "msg_1", "incomplete"), (1, "msg_1_2", "completed")]);
    let deltas = |index: u64| -> String {
        all.iter().filter(|event| event["output_index"] == index).filter_map(|event| event["delta"].as_str()).collect()
    };
    assert_eq!((deltas(0).as_str(), deltas(1).as_str()), ("wrong", "Hello, \"you\"\n"));
    assert!(all.iter().filter(|event| event["output_index"] == 1).all(|event| event["item_id"] != "msg_1"));
    // The Response holds the text that counts, and only that, under the ids that were shown.
    assert_eq!(response["output"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&response["output"][0]["id"], &response["output"][0]["content"][0]["text"]),
        (&json!("msg_1_2"), &json!("Hello, \"you\"\n"))
    );
    assert_eq!(all.last().unwrap()["response"], response);
}

#[tokio::test]
async fn an_answer_that_came_in_one_piece_is_told_in_pieces() {
    let server = Server::dialects().await;
    let response = create(&server, "silent").await;
    ended(&server, &response).await;
    let all = told(&server, &response, "?stream=true").await;
    assert_eq!(
        types(&all)[3..],
        [
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!((&all[5]["delta"], &all[5]["logprobs"]), (&json!("in one piece"), &json!([])));
}

#[tokio::test]
async fn what_came_to_nothing_ends_the_stream_as_a_failure() {
    let server = Server::dialects().await;
    let response = create(&server, "fail in the middle").await;
    ended(&server, &response).await;
    let all = told(&server, &response, "?stream=true").await;
    assert_eq!(types(&all)[6..], ["response.output_item.done", "response.failed"]);
    assert_eq!(all[6]["item"]["status"], "incomplete");
    let response = create(&server, "wait").await;
    server.until(&super::job(&response), "output").await;
    server.post(&path(&response, "/cancel"), "").await;
    let all = told(&server, &response, "?stream=true").await;
    let last = all.last().unwrap();
    assert_eq!((&last["type"], &last["response"]["status"]), (&json!("response.failed"), &json!("cancelled")));
    let response = create(&server, "incomplete").await;
    ended(&server, &response).await;
    let all = told(&server, &response, "?stream=true").await;
    assert_eq!(all.last().unwrap()["type"], "response.incomplete");
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_shows_that_it_is_alive_in_a_way_that_no_client_takes_for_an_event() {
    let settings = ApiSettings { keyless: true, sse_heartbeat: Duration::from_secs(15), ..ApiSettings::default() };
    let server = Server::dialects_with(settings).await;
    let response = create(&server, "wait").await;
    server.until(&super::job(&response), "output").await;
    let mut body = open(&server, Method::GET, &path(&response, "?stream=true&starting_after=99"), "").await;
    // No `id:`, no `retry:`, and no blank line behind the comment: one SDK reads each of those as an event without data.
    assert_eq!(next(&mut body).await.unwrap(), ":\n");
    assert_eq!(next(&mut body).await.unwrap(), ":\n");
    server.closing.cancel();
    assert_eq!(next(&mut body).await, None);
}
