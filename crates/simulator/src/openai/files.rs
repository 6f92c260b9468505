//! Files.

use axum::Json;
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::multipart;
use crate::config::Dialect;
use crate::distribution::Distribution;
use crate::draw::{Draw, hash, mix};
use crate::files::File;
use crate::inbound::Inbound;
use crate::refusal::{No, Refusal};

/// What rules for faults and overrides call uploads, as if it were a model.
const MODEL: &str = "files";

fn object(file: &File, epoch: i64) -> Value {
    json!({
        "id": file.id, "object": "file", "bytes": file.content.len(), "created_at": epoch, "expires_at": null,
        "filename": file.name, "purpose": file.purpose, "status": "processed", "status_details": null
    })
}

fn answer(inbound: &Inbound, body: Value) -> Response {
    inbound.dress(Json(body).into_response())
}

pub(crate) async fn upload(inbound: Inbound) -> Result<Response, Refusal> {
    inbound.look_at(MODEL).await?;
    let content_type = inbound.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let Some(parts) = multipart::parts(content_type, &inbound.body) else {
        return Err(inbound.refuse(&No::invalid("The body must be a form (multipart/form-data).")));
    };
    let part = |name: &str| parts.iter().find(|part| part.name == name);
    let (Some(content), Some(purpose)) = (part("file"), part("purpose")) else {
        return Err(inbound.refuse(&No::invalid("Missing required parameter: 'file' or 'purpose'.")));
    };
    let name = content.file_name.clone().unwrap_or_else(|| "upload".to_owned());
    let purpose = String::from_utf8_lossy(&purpose.content).into_owned();
    let config = inbound.sim.config();
    let meaning = hash(&[&config.seed.to_be_bytes(), name.as_bytes(), purpose.as_bytes(), &content.content]);
    let repetition = inbound.sim.repetition(meaning);
    let id = format!("file-{meaning:016x}{repetition:08x}");
    let takes = config.behaviour_of(Dialect::Openai, MODEL).upload_ms.unwrap_or(Distribution::Constant(0.0));
    let takes = takes.sample_ms(&mut Draw::new(mix(meaning ^ repetition))).div_f64(config.time_scale);
    tokio::time::sleep(takes).await;
    let file = File { id, name, purpose, content: content.content.clone() };
    let body = object(&file, config.epoch);
    inbound.sim.files().add(file);
    inbound.sim.book.note(&inbound.whose(), |tally| tally.uploads += 1);
    Ok(answer(&inbound, body))
}

/// A file that a request names and that is not there: the first of those in `input` of a Response.
pub(super) fn missing_file(inbound: &Inbound, input: &Value) -> Option<String> {
    match input {
        Value::Object(fields) => {
            let named = fields.get("file_id").and_then(Value::as_str);
            let missing = named.filter(|id| inbound.sim.files().get(id).is_none()).map(str::to_owned);
            missing.or_else(|| fields.values().find_map(|value| missing_file(inbound, value)))
        }
        Value::Array(values) => values.iter().find_map(|value| missing_file(inbound, value)),
        _ => None,
    }
}

fn find(inbound: &Inbound, id: &str) -> Result<File, Refusal> {
    let found = inbound.sim.files().get(id);
    found.ok_or_else(|| inbound.refuse(&No::not_found(format!("No such File object: {id}"))))
}

pub(crate) async fn list(inbound: Inbound) -> Result<Response, Refusal> {
    inbound.look().await?;
    let (epoch, purpose) = (inbound.sim.config().epoch, inbound.query("purpose"));
    let files = inbound.sim.files().list();
    let wanted = files.iter().filter(|file| purpose.is_none_or(|purpose| file.purpose == purpose));
    let data: Vec<Value> = wanted.map(|file| object(file, epoch)).collect();
    let id_of = |file: Option<&Value>| file.map_or(Value::Null, |file| file["id"].clone());
    let page = json!({
        "object": "list", "first_id": id_of(data.first()), "last_id": id_of(data.last()), "has_more": false, "data": data
    });
    Ok(answer(&inbound, page))
}

pub(crate) async fn retrieve(Path(id): Path<String>, inbound: Inbound) -> Result<Response, Refusal> {
    inbound.look().await?;
    let file = find(&inbound, &id)?;
    let body = object(&file, inbound.sim.config().epoch);
    Ok(answer(&inbound, body))
}

pub(crate) async fn content(Path(id): Path<String>, inbound: Inbound) -> Result<Response, Refusal> {
    inbound.look().await?;
    let mut response = find(&inbound, &id)?.content.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ok(inbound.dress(response))
}

pub(crate) async fn delete(Path(id): Path<String>, inbound: Inbound) -> Result<Response, Refusal> {
    inbound.look().await?;
    find(&inbound, &id)?;
    inbound.sim.files().remove(&id);
    Ok(answer(&inbound, json!({"id": id, "object": "file", "deleted": true})))
}
