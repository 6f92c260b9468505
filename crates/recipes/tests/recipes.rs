//! Recipes as authors write them: what is read, and what they are told when it cannot be.

use std::path::Path;

use raincheck_recipes::{JobFacts, PageKind, Recipe, Scope, Sent, explain, mermaid};
use serde_json::{Map, Value, json};

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
    let mistakes = Recipe::read(Path::new("bad.toml"), text).expect_err("it was taken");
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn sent(body: Value) -> Sent {
    let Value::Object(body) = body else { panic!("no object") };
    Sent { body, ..Sent::default() }
}

#[test]
fn a_recipe_says_where_it_is_reached_and_what_it_takes_and_answers() {
    let recipe = read(SCAN);
    let routes: Vec<String> = recipe.routes().map(|(method, path, _)| format!("{} {path}", method.as_str())).collect();
    assert_eq!(routes, ["POST /api/voice-library/scan-libritts", "GET /api/voice-library/scan-status/{task_id}"]);
    let input = recipe.collect(sent(json!({ "libritts_path": "/data" }))).unwrap();
    assert_eq!(input, json!({ "libritts_path": "/data", "tier": "quick" }));
    let scope = Scope::of_input(&input);
    assert_eq!(recipe.steps[0].call.input.render(&scope).unwrap(), json!({ "path": "/data", "tier": "quick" }));
    let job = JobFacts { uuid: "u".into(), state: "running".into(), percent: 45.9, ..JobFacts::default() };
    let job = JobFacts { message: "Processing file 450/1000".into(), ..job };
    let page = recipe.pages[&PageKind::Status].answer.body.as_ref().unwrap();
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
        (json!({ "libritts_path": " \n" }), vec!["libritts_path: it should not be blank"]),
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
    // A file that was taken for a form is one long name; a body may have any number of them.
    let many: Map<String, Value> =
        (0..1_000).map(|number| (format!("{number}{}", "é".repeat(500)), json!(1))).collect();
    let misfits = recipe.collect(sent(Value::Object(many))).unwrap_err();
    let told: usize = misfits.iter().map(|misfit| misfit.detail.len() + misfit.pointer.len()).sum();
    assert!(told < 2_000 && misfits[1].detail.ends_with("é\"…"), "{misfits:?}");
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
    assert_eq!(recipe.steps[1].call.input.render(&scope(1).with_steps(&steps)).unwrap(), json!({ "prompt": "Why?" }));
}

#[test]
fn a_step_waits_for_those_that_it_needs_and_sees_no_others() {
    let text = r#"
name = "both"
[route]
post = "/api/both"
[steps.left]
kind = "echo"
[steps.right]
kind = "echo"
needs = []
[steps.both]
kind = "echo"
needs = ["left"]
input = "{{ steps.left }}{{ steps.right }}"
[steps.last]
kind = "echo"
needs = ["boht"]
"#;
    insta::assert_snapshot!("needs", mistakes(text));
    let recipe = read(&text.replace("{{ steps.right }}", "").replace("boht", "both"));
    let needs: Vec<Vec<usize>> = recipe.steps.iter().map(|step| step.needs.iter().copied().collect()).collect();
    assert_eq!(needs, [vec![], vec![], vec![0], vec![0, 2]]);
    insta::assert_snapshot!("needs_drawn", mermaid(&recipe));
}

#[test]
fn what_a_step_is_given_must_be_what_its_kind_takes() {
    let recipe = read(
        r#"
name = "given"
[route]
post = "/api/given"
[steps.scan]
kind = "audio.scan"
input = { pth = "/data", tier = "slow", fresh = "yes" }
[steps.odd]
kind = "audio.scn"
"#,
    );
    let schema = json!({
        "properties": { "path": { "type": "string" }, "tier": { "enum": ["quick", "full"] }, "fresh": { "type": "boolean" } },
        "required": ["path"],
        "additionalProperties": false,
    });
    let mistakes = recipe.check_calls(&[("audio.scan".to_owned(), schema)].into());
    insta::assert_snapshot!("given", mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
}

#[test]
fn what_is_not_known_of_a_file_or_an_error_and_what_is_no_list_is_told() {
    let text = r#"
name = "wrong"
[route]
post = "/api/wrong"
[input]
doc = "file"
loud = "boolean"
text = "string"
more = "table"
[steps.each]
kind = "echo"
for_each = "input.loud"
input = "{{ input.doc.size }} {{ input.doc.sha256 }} {{ input.text.title }} {{ input.more.whatever }}"
on_error = { use = "{{ error.message }} {{ error.detail }}" }
[errors."*"]
body = "{{ problem.code }}"
"#;
    let mistakes = raincheck_recipes::Recipe::read(std::path::Path::new("wrong.toml"), text).unwrap_err();
    insta::assert_snapshot!("unknown_parts", mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
}

#[test]
fn options_of_the_job_may_depend_on_the_input() {
    let recipe = read(
        r#"
name = "urgent"
[route]
post = "/api/urgent"
[input]
urgent = "boolean"
user = "string"
[job]
priority = "{{ 'P0' if input.urgent else 'P7' }}"
deadline = "{{ '1m' if input.urgent else '' }}"
idempotency_key = "{{ input.user }}"
[steps.echo]
kind = "echo"
"#,
    );
    let choose = |urgent: bool| recipe.choose(&json!({ "urgent": urgent, "user": "u1" })).unwrap();
    assert_eq!(choose(true).priority.to_string(), "P0");
    assert_eq!(choose(true).deadline, Some(std::time::Duration::from_secs(60)));
    assert_eq!((choose(false).priority.to_string().as_str(), choose(false).deadline), ("P7", None));
    assert_eq!(choose(false).idempotency_key.as_deref(), Some("urgent:u1"));
    assert_eq!(choose(false).queue.unwrap().as_str(), "urgent");
}

#[test]
fn answers_have_their_entries_in_the_order_in_which_they_were_written() {
    let recipe = read(SCAN);
    let job = JobFacts { uuid: "u".into(), ..JobFacts::default() };
    let body = recipe.accepted.body.as_ref().unwrap().render_json(&Scope::default().with_job(&job)).unwrap();
    assert_eq!(body, r#"{"task_id":"u","status":"accepted","message":"Scan started in background..."}"#);
}

#[test]
fn recipes_that_could_be_meant_by_one_request_are_not_put_into_force_together() {
    let other = SCAN
        .replace("scan-status", "status")
        .replace("scan-libritts\"", "{what}\"")
        .replace("[input]", "[input]\nwhat = \"string\"");
    let book = raincheck_recipes::Book::default();
    book.replace(vec![read(SCAN)]).unwrap();
    let mistakes = book.replace(vec![read(SCAN), read(&other)]).unwrap_err();
    insta::assert_snapshot!("conflicts", mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    assert_eq!(book.recipes().len(), 1, "those that were in force still are");
}

/// What the schema for editors says there is, and what is read, are the same.
#[test]
fn the_schema_has_every_entry_that_is_read() {
    let schema: Value = serde_json::from_str(raincheck_recipes::SCHEMA).unwrap();
    for (place, table) in [
        ("/properties", ""),
        ("/properties/route/properties", "[route]"),
        ("/properties/job/properties", "[job]"),
        ("/properties/steps/additionalProperties/properties", "[steps.a]"),
        ("/properties/status/properties", "[status]"),
        ("/properties/cancel/properties", "[cancel]"),
        ("/properties/list/properties", "[list]"),
        ("/properties/conversation/properties", "[conversation]"),
        ("/properties/messages/properties", "[messages]"),
        ("/properties/delete/properties", "[delete]"),
        ("/properties/require/properties", "[require]"),
        ("/properties/checks/additionalProperties/properties", "[checks.a]"),
        ("/properties/follow_ups/additionalProperties/properties", "[follow_ups.a]"),
        ("/properties/input/additionalProperties/oneOf/1/properties", "[input.a]"),
    ] {
        let told = mistakes(&format!("{table}\nqqqqqqqqqqqqqqqq = 1"));
        let known = told.lines().find_map(|line| line.split_once("known here: ")).expect("a list of what is known").1;
        let mut read: Vec<&str> = known.split(", ").collect();
        let mut listed: Vec<&str> =
            schema.pointer(place).unwrap().as_object().unwrap().keys().map(String::as_str).collect();
        read.sort_unstable();
        listed.sort_unstable();
        assert_eq!(read, listed, "{table}");
    }
}

#[test]
fn a_recipe_may_belong_to_a_conversation_and_be_followed_by_another() {
    let text = r#"
name = "assistant"
[route]
post = "/api/assistant"
[input]
question = "string"
conversation_id = { type = "string", optional = true }
[conversation]
id = "{{ input.conversation_id }}"
message = "{{ input.question }}"
answer = "{{ result.text }}"
[steps.answer]
kind = "echo"
input = { text = "{{ conversation.summary }} {{ input.question }}" }
[follow_ups.summary]
recipe = "sumary"
if = "conversation.count % 16 == 0"
input = { conversation_id = "{{ conversation.id }}" }
"#;
    let book = raincheck_recipes::Book::default();
    let summary = "name = \"summary\"\n[route]\npost = \"/api/summary\"\n[input]\nconversation_id = \"string\"\n[steps.a]\nkind = \"echo\"\n";
    let told = book.replace(vec![read(text), read(summary)]).unwrap_err();
    insta::assert_snapshot!("followed_by_none", told[0].to_string());
    book.replace(vec![read(&text.replace("sumary", "summary")), read(summary)]).unwrap();
    insta::assert_snapshot!(
        "unheard",
        mistakes(&text.replace("conversation.summary", "conversaton.summary").replace("message", "mesage"))
    );
}

/// Takes a picture, and shows it.
const PICTURE: &str = r#"
name = "picture"
[route]
post = "/api/pictures"
[input]
picture = { type = "file", types = ["image/png"], optional = true }
url = { type = "string", optional = true }
[checks.either]
that = "input.picture or input.url"
otherwise = "send a picture{{ '' if input.url is none else ' that is one' }}, or its address"
field = "picture"
[steps.keep]
kind = "echo"
input = "{{ input.picture.id }}"
[status]
get = "/api/pictures/{id}"
body = { soon = "{{ job.result | link('10s') }}", later = "{{ job.result | link }}" }
[messages]
get = "/api/talks/{id}"
item = { said = "{{ message.content }}" }
"#;

#[test]
fn an_input_is_looked_at_as_a_whole_before_there_is_a_job() {
    let recipe = read(PICTURE);
    let misfits = recipe.collect(sent(json!({}))).unwrap_err();
    assert_eq!((&*misfits[0].pointer, &*misfits[0].detail), ("/picture", "send a picture, or its address"));
    assert_eq!(
        recipe.complete(json!({ "url": "" })).unwrap_err()[0].detail,
        "send a picture that is one, or its address"
    );
    assert!(recipe.complete(json!({ "url": "https://a.example/" })).is_ok());
}

#[test]
fn links_are_made_where_answers_are_and_nowhere_else() {
    let recipe = read(PICTURE);
    let body = recipe.pages[&PageKind::Status].answer.body.as_ref().unwrap();
    let told = |result: Option<Value>| {
        let links = |file: &str, life: std::time::Duration| {
            file.strip_prefix("file-").map(|name| format!("/{name}/{}", life.as_secs()))
        };
        let job = JobFacts { result, ..JobFacts::default() };
        body.render(&Scope::default().with_links(Box::new(links)).with_job(&job))
    };
    assert_eq!(told(Some(json!("file-1"))).unwrap(), json!({ "soon": "/1/10", "later": "/1/3600" }));
    assert_eq!(told(None).unwrap(), json!({ "soon": null, "later": null }));
    assert!(told(Some(json!("none"))).unwrap_err().reason.contains("no id of a file"));
    let nowhere = body.render(&Scope::default().with_job(&JobFacts::default())).unwrap_err();
    assert_eq!(nowhere.reason, "links are made only in answers");
    let wrong = PICTURE.replace("input.picture.id }}", "input.picture.id | link }}").replace("image/png", "image/heic");
    let wrong = wrong.replace("url = { type = \"string\"", "url = { type = \"string\", types = [\"image/png\"]");
    insta::assert_snapshot!("links", mistakes(&wrong.replace("field = \"picture\"", "field = \"pictur\"")));
}
