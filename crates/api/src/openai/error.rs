use raincheck_core::{Problem, ProblemType};
use serde_json::{Value, json};

use crate::dialect::upstream_error;
use crate::problem::ApiError;

/// The codes that a failed Response may have. Clients that check what they read accept no others.
const RESPONSE_CODES: [&str; 18] = [
    "server_error",
    "rate_limit_exceeded",
    "invalid_prompt",
    "vector_store_timeout",
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "invalid_image_url",
    "image_too_large",
    "image_too_small",
    "image_parse_error",
    "image_content_policy_violation",
    "invalid_image_mode",
    "image_file_too_large",
    "unsupported_image_media_type",
    "empty_image_file",
    "failed_to_download_image",
    "image_file_not_found",
];

/// An error as OpenAI's SDKs read it: the status and `{"error": {"message", "type", "param", "code"}}`.
pub(crate) fn told(error: &ApiError) -> (u16, Value) {
    let problem = error.problem();
    let (status, told) = match upstream_error(problem) {
        Some(upstream) => (upstream.status, of_upstream(problem, upstream.status)),
        None => (status(error), own(error)),
    };
    (status, json!({ "error": told }))
}

/// OpenAI knows no 422 for what it does not take, and what it has forgotten was never there.
fn status(error: &ApiError) -> u16 {
    match error.status().as_u16() {
        _ if error.problem().is(ProblemType::NO_UPSTREAM) => 404,
        _ if error.problem().is(ProblemType::UPSTREAM_FAILED) => 502,
        // What a request names is not there, and not what it was sent to.
        404 if error.problem().pointer.is_some() => 400,
        422 if error.problem().is(ProblemType::IDEMPOTENCY_KEY_REUSED) => 422,
        422 => 400,
        410 => 404,
        // A job that failed without an upstream's answer.
        424 => 500,
        status => status,
    }
}

fn own(error: &ApiError) -> Value {
    let (problem, status) = (error.problem(), status(error));
    let param = problem.pointer.as_deref().and_then(param);
    let code = match problem.name() {
        "not-found" if param.as_deref() == Some("previous_response_id") => "previous_response_not_found".to_owned(),
        "no-upstream" => "model_not_found".to_owned(),
        "unauthenticated" => "invalid_api_key".to_owned(),
        "quota-reached" => "rate_limit_exceeded".to_owned(),
        name => name.replace('-', "_"),
    };
    json!({ "message": problem.detail, "type": error_type(status), "param": param, "code": code })
}

/// What an upstream said, in its own words if they are of this dialect.
fn of_upstream(problem: &Problem, status: u16) -> Value {
    let told = words(problem);
    let field = |name: &str| told.as_ref().and_then(|told| told.get(name)).filter(|value| value.is_string());
    let or_null = |name: &str| field(name).cloned().unwrap_or(Value::Null);
    json!({
        "message": field("message").cloned().unwrap_or_else(|| problem.detail.clone().into()),
        "type": field("type").cloned().unwrap_or_else(|| error_type(status).into()),
        "param": or_null("param"),
        "code": or_null("code"),
    })
}

/// The `error` of what an upstream answered.
fn words(problem: &Problem) -> Option<Value> {
    let body: Value = problem.upstream_error.as_ref()?.parse().ok()?;
    Some(body.get("error").cloned().unwrap_or(body))
}

/// What OpenAI calls an error of this status.
fn error_type(status: u16) -> &'static str {
    match status {
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

/// Why a Response failed, as it stands in the Response itself.
pub(super) fn of_response(problem: &Problem) -> Value {
    let said = words(problem).and_then(|error| Some(error.get("code")?.as_str()?.to_owned()));
    let known = said.filter(|code| RESPONSE_CODES.contains(&code.as_str()));
    let code = known.unwrap_or_else(|| {
        let code = match problem.upstream_status {
            Some(429) => "rate_limit_exceeded",
            Some(400 | 413 | 422) => "invalid_prompt",
            _ => "server_error",
        };
        code.to_owned()
    });
    json!({ "code": code, "message": problem.detail })
}

/// A JSON pointer as OpenAI names parameters: `messages[0].content`. What a job is given stands in its `input`.
fn param(pointer: &str) -> Option<String> {
    let pointer =
        pointer.strip_prefix("/input").filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(pointer);
    let mut name = String::new();
    for part in pointer.split('/').skip(1) {
        match part.parse::<usize>() {
            Ok(number) => name.push_str(&format!("[{number}]")),
            Err(_) if name.is_empty() => name.push_str(part),
            Err(_) => name.push_str(&format!(".{part}")),
        }
    }
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_named_as_openai_names_them() {
        assert_eq!(param("/input/messages/0/content").as_deref(), Some("messages[0].content"));
        assert_eq!(param("/model").as_deref(), Some("model"));
        assert_eq!(param("/input"), None);
    }

    #[test]
    fn a_failed_response_has_a_code_that_clients_know() {
        let code = |status: u16, error: Value| {
            let problem = Problem::new(ProblemType::UPSTREAM_REFUSED, "no");
            of_response(&problem.of_upstream(status, Some(error.into())))["code"].clone()
        };
        assert_eq!(code(400, json!({"error": {"code": "image_parse_error"}})), "image_parse_error");
        assert_eq!(code(400, json!({"error": {"code": "model_not_found"}})), "invalid_prompt");
        assert_eq!(code(429, json!(null)), "rate_limit_exceeded");
        assert_eq!(code(503, json!("busy")), "server_error");
    }
}
