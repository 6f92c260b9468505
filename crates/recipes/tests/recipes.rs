//! Recipes as authors write them: what is read, and what they are told when it cannot be.

use std::path::Path;

use raincheck_recipes::{JobFacts, Recipe, Scope, Sent, explain, mermaid};
use serde_json::{Value, json};

const SCAN: &str = r#"
name = "voice-library.scan"
summary = "Scans a directory of speech"
result = "{{ steps.scan }}"

[route]
post = "/api/voice-library/scan-libritts"

[input]
libritts_path = { type = "string", min = 1, max = 4096 }
tier = { type = "string", one_of = ["quick", "full"], default = "quick" }

[job]
priority = "P3"
timeout = "1h"

[steps.scan]
kind = "audio.scan"
input = { path = "{{ input.libritts_path }}", tier = "{{ input.tier }}" }

[accepted]
body = { task_id = "{{ job.uuid }}", status = "accepted", message = "Scan started in background..." }

[status]
get = "/api/voice-library/scan-status/{task_id}"
body = { task_id = "{{ job.uuid }}", status = "{{ job.state }}", progress = "{{ job.progress.percent | int }}", message = "{{ job.progress.message }}" }

[errors.path-not-found]
status = 400
body = { detail = "Path not found" }
"#;

fn read(text: &str) -> Recipe {
    Recipe::read(Path::new("scan.toml"), text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
}

/// Everything that is wrong with a recipe, as its author is shown it.
fn mistakes(text: &str) -> String {
    let mistakes = Recipe::read(Path::new("bad.toml"), text).err().expect("it was taken");
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn sent(body: Value) -> Sent {
    let Value::Object(body) = body else { panic!("no object") };
    Sent { body, ..Sent::default() }
}

#[test]
fn a_recipe_says_where_it_is_reached_and_what_it_takes_and_answers() {
    let recipe = read(SCAN);
    let routes: Vec<String> = recipe.routes().map(|(method, path)| format!("{} {path}", method.as_str())).collect();
    assert_eq!(routes, ["POST /api/voice-library/scan-libritts", "GET /api/voice-library/scan-status/{task_id}"]);
    let input = recipe.collect(sent(json!({ "libritts_path": "/data" }))).unwrap();
    assert_eq!(input, json!({ "libritts_path": "/data", "tier": "quick" }));
    let scope = Scope::of_input(&input);
    assert_eq!(recipe.steps[0].input.render(&scope).unwrap(), json!({ "path": "/data", "tier": "quick" }));
    let job = JobFacts { uuid: "u".into(), state: "running".into(), percent: 45.9, ..JobFacts::default() };
    let job = JobFacts { message: "Processing file 450/1000".into(), ..job };
    let page = recipe.status.as_ref().unwrap().answer.body.as_ref().unwrap();
    let told = page.render(&scope.with_job(&job)).unwrap();
    let expected =
        json!({ "task_id": "u", "status": "running", "progress": 45, "message": "Processing file 450/1000" });
    assert_eq!(told, expected);
    assert_eq!(recipe.error("path-not-found").unwrap().status, Some(400));
    assert!(recipe.error("invalid-input").is_none());
}

#[test]
fn everything_that_is_wrong_with_what_was_sent_is_told_at_once() {
    let recipe = read(SCAN);
    for (body, told) in [
        (json!({}), vec!["libritts_path: it is missing"]),
        (json!({ "libritts_path": 7 }), vec!["libritts_path: it should be text, not a number"]),
        (json!({ "libritts_path": "" }), vec!["libritts_path: it should have from 1 to 4096 characters, not 0"]),
        (
            json!({ "libritts_pat": "/data", "tier": "slow" }),
            vec![
                "libritts_path: it is missing",
                "tier: it should be one of \"quick\", \"full\"",
                "there is no field \"libritts_pat\"; did you mean libritts_path?",
            ],
        ),
    ] {
        let misfits = recipe.collect(sent(body)).unwrap_err();
        assert_eq!(misfits.iter().map(|misfit| misfit.detail.as_str()).collect::<Vec<_>>(), told);
    }
}

#[test]
fn values_of_paths_queries_and_forms_are_text_that_stands_for_something() {
    let recipe = read(
        r#"
name = "copilot"
[route]
post = "/api/tutors/{tutor_id}/copilot"
[input]
tutor_id = "integer"
depth = { type = "integer", in = "query", default = 1 }
loud = { type = "boolean", optional = true }
[steps.answer]
kind = "echo"
input = "{{ input }}"
"#,
    );
    let of = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let form = json!({ "loud": "true" }).as_object().unwrap().clone();
    let sent = Sent { path: of(&[("tutor_id", "7")]), query: of(&[("depth", "3")]), body: form, is_form: true };
    assert_eq!(recipe.collect(sent).unwrap(), json!({ "tutor_id": 7, "depth": 3, "loud": true }));
    let sent = Sent { path: of(&[("tutor_id", "x")]), ..Sent::default() };
    assert_eq!(recipe.collect(sent).unwrap_err()[0].pointer, "tutor_id");
}

#[test]
fn every_mistake_is_told_with_its_place_and_what_was_probably_meant() {
    insta::assert_snapshot!(
        "mistakes",
        mistakes(
            r#"
nam = "x"
[route]
post = "/v1/mine"
[input]
question = { type = "sting", maximum = 4 }
[job]
priority = "P10"
deadline = "soon"
[steps.rewrite]
kind = "llm.chat"
input = { text = "{{ input.qestion }}", later = "{{ steps.answer }}" }
[steps.answer]
kind = "llm chat"
if = "input.question and"
[accepted]
body = { id = "{{ job.ident }}", result = "{{ job.result }}" }
[status]
get = "/api/status"
[errors.path-not-fond]
status = 99
"#
        )
    );
}

#[test]
fn a_recipe_is_explained() {
    insta::assert_snapshot!("explained", explain(&read(SCAN)));
    insta::assert_snapshot!("mermaid", mermaid(&read(SCAN)));
}

#[test]
fn a_step_may_be_left_out_and_its_failure_be_mended() {
    let recipe = read(
        r#"
name = "assistant"
[route]
post = "/api/assistant"
[input]
question = "string"
turns = "integer"
[steps.rewrite]
kind = "llm.chat"
if = "input.turns > 1"
input = { prompt = "{{ input.question }}" }
on_error = { use = "{{ input.question }}" }
[steps.answer]
kind = "llm.chat"
input = { prompt = "{{ steps.rewrite or input.question }}" }
"#,
    );
    let scope = |turns: u32| Scope::of_input(&json!({ "question": "Why?", "turns": turns }));
    assert!(!recipe.steps[0].applies(&scope(1)).unwrap() && recipe.steps[0].applies(&scope(2)).unwrap());
    let steps = [("rewrite".to_owned(), Value::Null)].into();
    assert_eq!(recipe.steps[1].input.render(&scope(1).with_steps(&steps)).unwrap(), json!({ "prompt": "Why?" }));
}
