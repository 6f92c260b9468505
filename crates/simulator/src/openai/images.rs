//! Images.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use crate::content::{base64, tokens_read};
use crate::draw::mix;
use crate::inbound::Inbound;
use crate::picture;
use crate::refusal::{No, Refusal};
use crate::work::{Demand, Work, begin};

/// Pictures of a request.
const PICTURES_MAX: u64 = 10;
/// How wide and high a picture is unless its size is asked for.
const SIDE_DEFAULT: u32 = 1_024;

pub(crate) async fn generate(inbound: Inbound) -> Result<Response, Refusal> {
    let demand = demand(&inbound);
    let work = begin(inbound, demand).await?;
    Ok(work.json(StatusCode::OK, images).await)
}

fn demand(inbound: &Inbound) -> Result<(Value, Demand), Refusal> {
    let body = inbound.json()?;
    if !body["prompt"].is_string() {
        return Err(inbound.refuse(&No::invalid("Missing required parameter: 'prompt'.")));
    }
    let model = body["model"].as_str().unwrap_or("gpt-image-sim").to_owned();
    let input_tokens = tokens_read([body.get("prompt")]);
    Ok((body, Demand { model, input_tokens, output_max: None, writes: false }))
}

fn size(body: &Value) -> (u32, u32) {
    let sides = body["size"].as_str().and_then(|size| size.split_once('x'));
    let side = |text: &str| text.parse::<u32>().ok();
    sides.and_then(|(width, height)| Some((side(width)?, side(height)?))).unwrap_or((SIDE_DEFAULT, SIDE_DEFAULT))
}

fn images(work: &Work) -> Value {
    let count = work.body["n"].as_u64().unwrap_or(1).clamp(1, PICTURES_MAX);
    let (width, height) = size(&work.body);
    let as_url = work.body["response_format"] == json!("url");
    let picture = |number: u64| {
        let seed = mix(work.plan.seed() ^ number);
        if as_url {
            json!({"url": picture::url(&work.inbound.base(), seed, width, height)})
        } else {
            json!({"b64_json": base64(&picture::png(seed, width, height))})
        }
    };
    let data: Vec<Value> = (0..count).map(picture).collect();
    json!({
        "created": work.inbound.sim.config().epoch,
        "data": data,
        "usage": {
            "input_tokens": work.input_tokens,
            "input_tokens_details": {"text_tokens": work.input_tokens, "image_tokens": 0},
            "output_tokens": 0,
            "total_tokens": work.input_tokens
        }
    })
}
