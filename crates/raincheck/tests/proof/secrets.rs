//! Promise: a provider's key is sent to it, and shown nowhere: whatever kind calls it, however much is logged, and whatever it says.

use std::path::Path;

use raincheck_simulator::{Fault, FaultKind, FaultRule, On};
use serde_json::{Value, json};

use super::job;
use super::paid_once::inputs;
use super::provider::{CANARY, Stage};

/// A key that a caller brings.
const OWN: &str = "sk-canary-of-a-caller";

/// What goes wrong at the provider; of the last two it says the key again.
fn faults() -> Vec<Option<Fault>> {
    let echo = |status| Fault { status: Some(status), ..Fault::new(FaultKind::EchoesKey) };
    let plain = [FaultKind::ContentPolicy, FaultKind::InsufficientQuota, FaultKind::Malformed, FaultKind::LostAnswer];
    let plain = plain.into_iter().map(|kind| Some(Fault::new(kind)));
    [None].into_iter().chain(plain).chain([Some(echo(401)), Some(echo(500))]).collect()
}

/// Every kind that calls a provider.
fn calls(stage: &Stage) -> Vec<(&'static str, Value)> {
    let mut all = inputs(stage);
    for (upstream, model) in [("fal", "fal-ai/flux/dev"), ("replicate", "owner/model")] {
        all.push(("image.generate", json!({"upstream": upstream, "model": model})));
    }
    all.push(("llm.embed", json!({"model": "embed", "input": "x"})));
    all
}

/// Has every kind, and doors through which calls are passed, meet a fault; gives all that was shown meanwhile.
fn shown(stage: &mut Stage, fault: Option<Fault>) -> Vec<String> {
    let calls = calls(stage);
    let rule = |fault| FaultRule { on: On::Any, ..FaultRule::always(fault) };
    stage.simulator.add_faults(fault.map(rule).into_iter().collect()).expect("a fault");
    let submit = |(kind, input): &(&str, Value)| {
        stage.submit(&json!({"kind": kind, "max_attempts": 1, "input": input}).to_string())
    };
    let jobs: Vec<String> = calls.iter().map(submit).collect();
    let mut http = stage.server.http();
    let passed = [
        ("/openai/v1/chat/completions", r#"{"model": "gpt-5", "messages": []}"#),
        ("/openai/v1/responses", r#"{"model": "gpt-5", "input": "x"}"#),
        ("/anthropic/v1/messages", r#"{"model": "claude", "max_tokens": 9, "messages": []}"#),
    ];
    let mut shown = Vec::new();
    for (path, body) in passed {
        for headers in [&[][..], &[("raincheck-upstream-key", OWN)]] {
            shown.push(http.request("POST", path, headers, body).expect("an answer").to_string());
        }
    }
    // A line of a batch waits for its upstream to be well again.
    stage.simulator.clear_faults();
    let mut http = stage.server.http();
    for id in &jobs {
        shown.push(job::check_ended(&mut http, id).to_string());
        shown.push(format!("{:?}", job::log(&mut http, id)));
    }
    for path in ["/metrics", "/openapi.json", "/v1/kinds", "/v1/jobs", "/v1/upstreams"] {
        shown.push(http.get(path).expect("an answer").to_string());
    }
    shown
}

fn check(fault: Option<&Fault>) {
    let mut stage = Stage::launched(10.0, "pass_through_key = true", "", |launch| launch.with("LOG_LEVEL", "trace"));
    let is_echo = fault.is_some_and(|fault| fault.kind == FaultKind::EchoesKey);
    let mut shown = shown(&mut stage, fault.cloned());
    assert!(!stage.simulator.requests(0).is_empty(), "the provider was called");
    stage.server.stop();
    let log = stage.server.log();
    assert!(log.contains("TRACE") && log.contains("DEBUG"), "{log}");
    shown.push(log);
    for text in &shown {
        if let Some(place) = [CANARY, OWN].iter().find_map(|key| text.find(key)) {
            panic!("{fault:?}: {}", &text[text.floor_char_boundary(place.saturating_sub(2_000))..]);
        }
    }
    let is_told = shown.iter().filter(|text| text.contains("The key was [key].")).count();
    assert!(!is_echo || is_told > 5, "that there was one is told: {is_told}");
    for key in [CANARY, OWN] {
        assert_eq!(files_with(&stage.place.data(), key.as_bytes()), [""; 0], "{fault:?}");
    }
}

#[test]
fn a_providers_key_is_nowhere_but_at_the_provider() {
    std::thread::scope(|scope| {
        let checks: Vec<_> = faults().into_iter().map(|fault| scope.spawn(move || check(fault.as_ref()))).collect();
        checks.into_iter().for_each(|check| check.join().expect("it holds"));
    });
}

/// The files below a directory that hold these bytes.
fn files_with(directory: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("read the directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if std::fs::read(&path).is_ok_and(|text| text.windows(bytes.len()).any(|window| window == bytes)) {
            found.push(path.display().to_string());
        }
    }
    found
}
