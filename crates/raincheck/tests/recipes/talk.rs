use std::time::Duration;

use serde_json::{Value, json};

use super::Kitchen;
use crate::proof::within;
use crate::support::{Server, post};

/// Gives back how much it knows of the conversation, and is followed by a summary of every fourth message.
const TALK: &str = r#"
name = "talk"
[route]
post = "/api/talk"
[input]
text = { type = "string", min = 1 }
seconds = { type = "number", default = 0 }
conversation_id = { type = "string", optional = true }
[conversation]
id = "{{ input.conversation_id }}"
message = "{{ input.text }}"
answer = "{{ result.text }}"
[steps.wait]
kind = "sleep"
input = { seconds = "{{ input.seconds }}" }
[result]
text = "{{ conversation.turns }}: {{ conversation.history | map(attribute='content') | join('|') }} / {{ conversation.summary }}"
[follow_ups.summary]
recipe = "summary"
if = "conversation.count % 4 == 0"
input = { conversation_id = "{{ conversation.id }}", up_to = "{{ conversation.count }}" }
[accepted]
body = { id = "{{ job.id }}", conversation_id = "{{ conversation.id }}", answer_id = "{{ conversation.answer_id }}" }
[status]
get = "/api/talk/{id}"
body = { state = "{{ job.state }}", text = "{{ job.result.text if job.result else none }}" }
[messages]
get = "/api/talks/{id}"
[messages.body]
said = "{{ conversation.messages }}"
"#;

const SUMMARY: &str = r#"
name = "summary"
[route]
post = "/api/summary"
[input]
conversation_id = "string"
up_to = "integer"
[conversation]
id = "{{ input.conversation_id }}"
up_to = "{{ input.up_to }}"
summary = "{{ result }}"
[job]
priority = "P2"
idempotency_key = "{{ input.conversation_id }}:{{ input.up_to }}"
[steps.count]
kind = "echo"
input = "summed up to {{ conversation.count }}, {{ conversation.history | length }} new"
"#;

fn say(server: &Server, body: &Value) -> Value {
    let reply = post(server.address, "/api/talk", &body.to_string());
    assert_eq!(reply.status, 202, "{reply:?}");
    reply.json()
}

#[test]
fn turns_come_one_after_the_other_and_are_summed_up_once_in_a_while() {
    let kitchen = Kitchen::new(&[("talk", TALK), ("summary", SUMMARY)]);
    let server = &kitchen.server;
    let first = say(server, &json!({ "text": "one" }));
    let talk = first["conversation_id"].as_str().expect("a new conversation").to_owned();
    let page = || server.get(&format!("/api/talks/{talk}")).json()["said"].as_array().expect("messages").clone();
    let more =
        |text: &str, seconds: f64| say(server, &json!({ "text": text, "seconds": seconds, "conversation_id": talk }));
    // The third does not begin before the second has ended, though it would be done sooner.
    let (second, third) = (more("two", 0.5), more("three", 0.0));
    assert_eq!(page().last().unwrap()["state"], "processing");
    let told =
        |job: &Value| server.get(&format!("/api/talk/{}?wait=30", job["id"].as_str().unwrap())).json()["text"].clone();
    assert_eq!(told(&first), "1:  / ");
    assert_eq!(told(&second), "2: one|1:  /  / ");
    let third = told(&third);
    assert!(third == "3: one|1:  / |two|2: one|1:  /  /  / " || third == "3:  / summed up to 4, 4 new", "{third}");
    let said = page();
    assert_eq!(
        said.iter().map(|message| message["role"].as_str().unwrap()).collect::<Vec<_>>(),
        ["user", "assistant"].repeat(3)
    );
    assert_eq!((&said[1]["id"], &said[1]["content"]), (&first["answer_id"], &json!("1:  / ")));
    let summaries = || server.get("/v1/jobs?label=recipe:summary").json()["jobs"].as_array().unwrap().clone();
    within(Duration::from_secs(10), "a summary follows", || {
        summaries().iter().any(|job| job["state"] == "completed" && job["priority"] == "P2").then_some(())
    });
    assert_eq!(summaries().len(), 1, "after four messages, and not yet after six");
    let fourth = told(&more("four", 0.0));
    let whole = "4: three|";
    assert!(
        fourth.as_str().unwrap().starts_with(whole) && fourth.as_str().unwrap().ends_with("summed up to 4, 4 new"),
        "{fourth}"
    );
}

#[test]
fn an_answer_never_stays_in_the_making() {
    let kitchen = Kitchen::new(&[("talk", TALK), ("summary", SUMMARY)]);
    let server = &kitchen.server;
    let job = say(server, &json!({ "text": "one", "seconds": 60 }));
    let id = job["id"].as_str().unwrap();
    server.running(id);
    assert_eq!(post(server.address, &format!("/v1/jobs/{id}/cancel"), "").status, 200);
    server.ended(id);
    let said = server.get(&format!("/api/talks/{}", job["conversation_id"].as_str().unwrap())).json();
    assert_eq!(said["said"][1]["state"], "cancelled");
}

#[test]
fn a_conversation_that_is_not_there_is_refused() {
    let kitchen = Kitchen::new(&[("talk", TALK), ("summary", SUMMARY)]);
    for id in ["nobody", "conv_01a20e3b2dd570009540a7d508762d39"] {
        let body = json!({ "text": "one", "conversation_id": id }).to_string();
        assert_eq!(post(kitchen.server.address, "/api/talk", &body).status, 404, "{id}");
        assert_eq!(kitchen.server.get(&format!("/api/talks/{id}")).status, 404, "{id}");
    }
    assert_eq!(kitchen.server.get("/v1/jobs").json()["jobs"], json!([]));
}
