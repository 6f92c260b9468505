//! Embeddings.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::model;
use crate::content::{base64, tokens_read, vector};
use crate::draw::hash;
use crate::inbound::Inbound;
use crate::refusal::{No, Refusal};
use crate::work::{Demand, Work, begin};

/// Texts in a request.
const INPUTS_MAX: usize = 2_048;
/// Numbers in a vector, unless fewer are asked for, and at most.
const DIMENSIONS_DEFAULT: u64 = 1_536;
const DIMENSIONS_MAX: u64 = 3_072;

pub(crate) async fn create(inbound: Inbound) -> Result<Response, Refusal> {
    let demand = demand(&inbound);
    let work = begin(inbound, demand).await?;
    Ok(work.json(StatusCode::OK, embeddings).await)
}

fn demand(inbound: &Inbound) -> Result<(Value, Demand), Refusal> {
    let body = inbound.json()?;
    let model = model(inbound, &body)?;
    let count = inputs(&body["input"]).len();
    if count == 0 || count > INPUTS_MAX {
        return Err(inbound.refuse(&No::invalid(format!("'input' must have 1 to {INPUTS_MAX} texts."))));
    }
    let input_tokens = tokens_read([body.get("input")]);
    Ok((body, Demand { model, input_tokens, output_max: None, writes: false }))
}

/// A text, texts, the tokens of a text, or of texts.
fn inputs(input: &Value) -> Vec<&Value> {
    match input {
        Value::Array(values) if values.iter().all(Value::is_number) && !values.is_empty() => vec![input],
        Value::Array(values) => values.iter().collect(),
        Value::String(_) => vec![input],
        _ => Vec::new(),
    }
}

fn embeddings(work: &Work) -> Value {
    let wanted = work.body["dimensions"].as_u64().unwrap_or(DIMENSIONS_DEFAULT).clamp(1, DIMENSIONS_MAX);
    let dimensions = usize::try_from(wanted).unwrap_or(1);
    let seed = work.inbound.sim.config().seed;
    let as_base64 = work.body["encoding_format"] == json!("base64");
    let embedding = |(index, input): (usize, &Value)| {
        // The same text has the same vector, whatever it is sent with.
        let seed = hash(&[&seed.to_be_bytes(), work.model.as_bytes(), input.to_string().as_bytes()]);
        let vector = vector(seed, dimensions);
        let embedding = if as_base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            json!(base64(&bytes))
        } else {
            json!(vector)
        };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    };
    let data: Vec<Value> = inputs(&work.body["input"]).into_iter().enumerate().map(embedding).collect();
    let usage = json!({"prompt_tokens": work.input_tokens, "total_tokens": work.input_tokens});
    json!({"object": "list", "data": data, "model": work.model, "usage": usage})
}
