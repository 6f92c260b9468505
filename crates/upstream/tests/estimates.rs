//! How near estimates of tokens come to what tokenizers count. `texts.json` holds texts with what OpenAI's own say of them:
//! `o200k_base`, that of today's models, and `cl100k_base`, that of embeddings and of older ones.

use raincheck_upstream::estimate;
use serde::Deserialize;
use serde_json::{Value, json};

const EMBEDDINGS: &str = "/embeddings";
const CHAT: &str = "/chat/completions";

#[derive(Deserialize)]
struct Counted {
    name: String,
    text: String,
    o200k: u64,
    cl100k: u64,
}

fn counted() -> Vec<Counted> {
    serde_json::from_str(include_str!("texts.json")).unwrap()
}

#[test]
fn no_text_is_estimated_at_a_fifth_less_than_it_comes_to_nor_at_two_fifths_more() {
    for Counted { name, text, o200k, cl100k } in counted() {
        let (estimate, most) = (estimate(EMBEDDINGS, &json!({"input": text})), o200k.max(cl100k));
        println!("{name}: {estimate}, o200k {o200k}, cl100k {cl100k}");
        assert!(estimate * 10 >= most * 8, "{name}: {estimate} of {most}");
        assert!(estimate * 10 <= most * 14, "{name}: {estimate} of {most}");
    }
}

#[test]
fn whatever_field_it_stands_in_a_text_costs_the_same() {
    let Counted { text, .. } = counted().remove(0);
    let alone = estimate(EMBEDDINGS, &json!({"input": text}));
    let bodies = [
        json!({"messages": [{"role": "", "content": text}], "max_tokens": 0}),
        json!({"messages": [{"role": "", "content": [{"type": "text", "text": text}]}], "max_completion_tokens": 0}),
        json!({"input": [{"role": "", "content": [{"type": "input_text", "text": text}]}], "max_output_tokens": 0}),
    ];
    for body in bodies {
        assert_eq!(estimate(CHAT, &body), alone + 3, "{body}");
    }
    for field in ["system", "instructions", "prompt"] {
        assert_eq!(estimate(CHAT, &json!({field: text, "max_tokens": 0})), alone, "{field}");
    }
    let twice = estimate(EMBEDDINGS, &json!({"input": [text, text]}));
    assert!(twice.abs_diff(2 * alone) <= 1, "{twice}, but for a part of a token");
}

#[test]
fn an_answer_is_counted_by_its_bound_and_only_where_it_is_a_text() {
    let asks = |bound: Value| json!({"messages": [], "max_tokens": bound});
    assert_eq!([10, 1_000_000].map(|bound| estimate(CHAT, &asks(bound.into()))), [10, 1_024]);
    for path in [CHAT, "/responses", "/v1/messages", "v1/messages?beta=true", "/v1/responses/compact"] {
        assert_eq!(estimate(path, &json!({})), 1_024, "{path}");
    }
    for path in [EMBEDDINGS, "/images/generations", "/responses/input_tokens", "v1/messages/count_tokens"] {
        assert_eq!(estimate(path, &json!({})), 0, "{path}");
    }
    // What is asked for to be embedded may be tokens already.
    assert_eq!(estimate(EMBEDDINGS, &json!({"input": [[1, 2, 3], [4]]})), 4);
}

#[test]
fn an_image_is_an_image_however_long_its_bytes_are() {
    let bytes = "A".repeat(1_000_000);
    let data = format!("data:image/png;base64,{bytes}");
    let parts = [
        json!({"type": "image_url", "image_url": {"url": data}}),
        json!({"type": "image_url", "image_url": {"url": "https://cdn.example/a.png"}}),
        json!({"type": "input_image", "image_url": data}),
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": bytes}}),
        json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": bytes}}),
        json!({"type": "input_file", "file_data": data}),
        json!({"type": "input_audio", "input_audio": {"data": bytes, "format": "wav"}}),
        json!({"type": "", "anything": data}),
    ];
    for part in parts {
        let body = json!({"messages": [{"role": "", "content": [part]}], "max_tokens": 0});
        assert_eq!(estimate(CHAT, &body), 1_003, "{}", part["type"]);
        let result = json!([{"role": "", "content": [{"type": "", "content": [part]}]}]);
        assert_eq!(estimate("v1/messages", &json!({"messages": result, "max_tokens": 0})), 1_003);
    }
    let text = json!({"type": "document", "source": {"type": "text", "data": "the cat sat"}});
    let body = json!({"messages": [{"role": "", "content": [text]}], "max_tokens": 0});
    assert_eq!(estimate(CHAT, &body), 3 + 3, "a text is counted as one");
    let no_data = json!({"input": "data: the cat sat"});
    assert!(estimate(EMBEDDINGS, &no_data) < 10);
}

/// By the count that OpenAI publishes for its functions (7 for each, 3 for its properties and each of them, 12 behind): 68 tokens.
#[test]
fn functions_are_counted_with_their_names() {
    let tools = json!([{"type": "function", "function": {
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {"type": "object", "properties": {
            "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
            "unit": {"type": "string", "description": "The unit of temperature to return", "enum": ["celsius", "fahrenheit"]},
        }, "required": ["location"]},
    }}]);
    let estimated = estimate(CHAT, &json!({"tools": tools, "max_tokens": 0}));
    assert!((60..=105).contains(&estimated), "{estimated}");
}
