use raincheck_core::{Job, Json, Outcome, Time};
use serde_json::{Value, json};

use super::{PREFIX, text};
use crate::dialect::{Fields, hex};

/// A Response of which nothing is known yet, with every field that clients which check what they read insist on.
const BLANK: &str = r#"{"id":"","object":"response","created_at":0,"status":"queued","background":true,"completed_at":null,
"error":null,"incomplete_details":null,"instructions":null,"max_output_tokens":null,"max_tool_calls":null,"metadata":{},
"model":"","output":[],"parallel_tool_calls":true,"previous_response_id":null,"prompt_cache_key":null,"reasoning":null,
"safety_identifier":null,"service_tier":"default","store":true,"temperature":1,"text":{"format":{"type":"text"}},
"tool_choice":"auto","tools":[],"top_logprobs":0,"top_p":1,"presence_penalty":0,"frequency_penalty":0,
"truncation":"disabled","usage":null,"user":null}"#;
/// What a Response says again of its request.
const ECHOED: [&str; 22] = [
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "truncation",
    "user",
];
/// Of these, what is the caller's own and not for the upstream to say.
const OWN: [&str; 4] = ["metadata", "previous_response_id", "safety_identifier", "user"];

/// What a Response shows of its request whatever becomes of it.
pub(super) struct Face {
    blank: String,
}

impl Face {
    /// The face of a job with this input.
    pub(super) fn new(job: &Job, input: &Json) -> Self {
        let mut blank = Fields::of(BLANK).expect("it is an object");
        let input = Fields::of(input.as_str());
        for name in ECHOED {
            if let Some(value) = input.as_ref().and_then(|input| said(input, name)) {
                blank.set(name, &value);
            }
        }
        if let Some(id) = job.spec.labels.get(super::previous::PREVIOUS) {
            blank.set("previous_response_id", &text(id));
        }
        blank.set("id", &text(&format!("{PREFIX}{}", hex(job.id))));
        blank.set("created_at", &seconds(job.spec.created_at));
        Self { blank: blank.json().as_str().to_owned() }
    }

    /// The Response while it waits or is worked on.
    pub(super) fn open(&self, status: &str) -> Json {
        let mut fields = self.fields();
        fields.set("status", &text(status));
        fields.json()
    }

    /// The Response once it came to nothing, with what there is of it.
    pub(super) fn failed(&self, status: &str, at: Time, error: Value, output: &[Json]) -> Json {
        let mut fields = self.fields();
        fields.set("status", &text(status));
        fields.set("completed_at", &seconds(at));
        fields.set("error", &error.into());
        fields.set("output", &list(output));
        fields.json()
    }

    /// The Response that an upstream gave, under our name and with what the caller said; and its status.
    pub(super) fn completed(&self, result: &Json, at: Time, output: &[Json]) -> (Json, &'static str) {
        let (mut fields, result) = (self.fields(), Fields::of(result.as_str()));
        let (mut status, mut is_dated) = ("completed", false);
        for (name, value) in result.iter().flat_map(Fields::iter) {
            match name {
                "id" | "object" | "created_at" | "background" | "output" => {}
                "status" => status = final_status(value),
                _ if value == "null" || OWN.contains(&name) => {}
                "usage" => fields.set(name, &usage(value)),
                _ => {
                    is_dated |= name == "completed_at";
                    fields.set(name, &Json::from_text(value.to_owned()).unwrap_or_default());
                }
            }
        }
        fields.set("status", &text(status));
        fields.set("output", &list(output));
        if !is_dated {
            fields.set("completed_at", &seconds(at));
        }
        (fields.json(), status)
    }

    fn fields(&self) -> Fields {
        Fields::of(&self.blank).expect("it was written as an object")
    }
}

/// The Response that an upstream gave, whether or not its job takes that for a success: one that is incomplete, or refuses, is an
/// answer in this dialect.
pub(in crate::openai) fn answer(outcome: &Outcome) -> Option<&Json> {
    match outcome {
        Outcome::Completed(result) => Some(result),
        Outcome::Failed(problem) => problem.upstream_error.as_deref().filter(|said| {
            let object = Fields::of(said.as_str()).and_then(|fields| Some(fields.get("object")? == "\"response\""));
            object == Some(true)
        }),
        _ => None,
    }
}

/// The items that a result holds.
pub(super) fn output(result: &Json) -> Vec<Json> {
    let output = Fields::of(result.as_str()).and_then(|fields| serde_json::from_str(fields.get("output")?).ok());
    output.unwrap_or_default()
}

fn said(input: &Fields, name: &str) -> Option<Json> {
    let value = input.get(name).filter(|value| *value != "null")?;
    Json::from_text(value.to_owned()).ok()
}

/// An upstream's word for the end of a Response, if it is one.
fn final_status(value: &str) -> &'static str {
    match value.trim_matches('"') {
        "incomplete" => "incomplete",
        "failed" => "failed",
        "cancelled" => "cancelled",
        _ => "completed",
    }
}

/// With the details that today's clients insist on, and older upstreams do not give.
fn usage(value: &str) -> Json {
    let Ok(mut usage) = serde_json::from_str::<Value>(value) else { return Json::null() };
    for (name, parts) in [
        ("input_tokens_details", &["cached_tokens", "cache_write_tokens"][..]),
        ("output_tokens_details", &["reasoning_tokens"]),
    ] {
        if let Some(usage) = usage.as_object_mut() {
            let details = usage.entry(name).or_insert_with(|| json!({}));
            for part in parts {
                if let Some(details) = details.as_object_mut() {
                    details.entry(*part).or_insert_with(|| 0.into());
                }
            }
        }
    }
    usage.into()
}

fn list(items: &[Json]) -> Json {
    Json::from_value(items).unwrap_or_default()
}

/// A time as OpenAI writes it: whole seconds.
pub(super) fn seconds(at: Time) -> Json {
    Json::from(Value::from(at.as_millis().div_euclid(1_000)))
}
