use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};

use super::{QUICK, RUBRIC, ended, job_at, scaled, serve, submit};
use crate::diagnostics::{Stage, transcript};
use crate::proof::{Heard, hear, within};
use crate::support::{Server, request};

/// What the last event of a stream says.
fn last_event(server: &Server, path: &str) -> Value {
    let stream = request(server.address, "GET", path, &[("accept", "text/event-stream")], "").body;
    let last = stream.split("\n\n").filter(|frame| frame.contains("\ndata: ")).last().expect("an event").to_owned();
    assert!(last.contains("\nevent: ended\n"), "{last}");
    last.lines().find_map(|line| line.strip_prefix("data: ")).expect("data").parse().expect("JSON")
}

#[test]
fn poll_stream_and_webhook_tell_the_same() {
    let mut stage = Stage::new(scaled(QUICK));
    stage.config += "\n[egress]\nallow = [\"127.0.0.0/8\"]\n";
    let server = serve(&stage);
    let (listener, heard) = (TcpListener::bind("127.0.0.1:0").expect("a port"), Heard::default());
    let port = listener.local_addr().expect("an address").port();
    hear(listener, &heard);
    // By the native API, for that is where a webhook can be named.
    let file = json!({ "id": transcript(&server), "filename": "call.txt", "bytes": 11, "sha256": "" });
    let order = json!({ "recipe": "diagnostics", "input": { "file": file, "rubric": RUBRIC } });
    let wish = json!({
        "kind": "recipe",
        "input": order,
        "labels": { "recipe": "diagnostics" },
        "webhook": format!("http://127.0.0.1:{port}/"),
    });
    let path = format!("/api/diagnostics/{}", server.submit(&wish.to_string()));
    let streamed = last_event(&server, &path);
    let polled = server.get(&path).json();
    assert_eq!((&polled, &polled["status"]), (&streamed, &json!("completed")));
    assert_eq!(last_event(&server, &path), polled, "whoever comes late is told the same");
    let told: Value = within(Duration::from_secs(10), "the webhook is told", || {
        heard.lock().unwrap().values().flatten().next().map(|body| body.parse().expect("JSON"))
    });
    assert_eq!((&told["type"], &told["data"]["result"]), (&json!("job.completed"), &polled["result"]), "{told}");
    assert_eq!(server.get(&format!("/v1/jobs/{}/result", job_at(&path))).json(), polled["result"]);
}

#[test]
fn each_step_says_how_it_stands_what_it_took_and_what_it_cost() {
    let mut stage = Stage::new(scaled(QUICK));
    stage.config = stage.config.replace("concurrency = 20", "concurrency = 20\ninput_price = 2\noutput_price = 10\n");
    let server = serve(&stage);
    let path = submit(&server, "Agent: Yes?");
    let steps = |told: &Value| told["steps"].as_array().expect("steps").clone();
    let under_way = within(Duration::from_secs(20), "it is scored", || {
        let steps = steps(&server.job(job_at(&path)));
        (steps[0]["state"] == "running").then_some(steps)
    });
    let states =
        |steps: &[Value]| steps.iter().map(|step| step["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(states(&under_way), ["running", "waiting", "waiting", "waiting"]);
    let told = ended(&server, &path);
    let steps = steps(&server.job(job_at(&path)));
    assert_eq!(states(&steps), ["completed", "completed", "skipped", "completed"]);
    let names: Vec<_> = steps.iter().map(|step| [&step["name"], &step["kind"]]).collect();
    assert_eq!(names[..2], [[&json!("score"), &json!("llm.response")], [&json!("read"), &json!("echo")]]);
    let (score, usage) = (&steps[0], &steps[0]["usage"]);
    assert!(score["started_at"].as_str() < score["finished_at"].as_str(), "{score}");
    let [read, written] = ["input_tokens", "output_tokens"].map(|name| usage[name].as_f64().expect("a count"));
    let cost = usage["cost"].as_f64().expect("a cost");
    assert!(read > 0.0 && written > 0.0 && (cost - (2.0 * read + 10.0 * written) / 1e6).abs() < 1e-9, "{usage}");
    assert!(usage["calls"] == 1 && usage["seconds"].as_f64().is_some_and(|seconds| seconds > 1.0), "{usage}");
    assert_eq!(steps[1]["result"]["score"], told["result"]["score"]);
}
