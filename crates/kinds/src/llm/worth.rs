use raincheck_core::{Json, Problem, ProblemType};
use serde::Deserialize;

/// A Response that came to its end, as far as it has to be looked at to know what it is worth.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Response {
    status: Option<String>,
    incomplete_details: Option<Details>,
    output: Vec<Item>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Item {
    #[serde(rename = "type")]
    kind: String,
    content: Option<Vec<Part>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    text: Option<String>,
    refusal: Option<String>,
}

/// Whether a Response is what was asked for. One that broke off, in which the model only refused, or that says nothing, is kept in
/// the problem: whoever takes `completed` for success would be given half a text, or none.
///
/// # Errors
/// What is wrong with it; asking again would hardly mend that, and is paid for.
pub(super) fn check(result: &Json) -> Result<(), Problem> {
    // What cannot be read is in a form of its own, and for the caller to judge.
    let Ok(Response { status, incomplete_details, output }) = result.parse() else { return Ok(()) };
    let wrong = |problem_type, detail: String| {
        let mut problem = Problem::new(problem_type, detail);
        problem.upstream_error = Some(Box::new(result.clone()));
        Err(problem)
    };
    if status.as_deref() == Some("incomplete") {
        let reason = incomplete_details.and_then(|details| details.reason);
        let reason = reason.unwrap_or_else(|| "it gave no reason".into());
        let detail = format!("the answer is incomplete: {reason}; what there is of it is in upstream_error");
        return wrong(ProblemType::ANSWER_INCOMPLETE, detail);
    }
    let is_said = |item: &Item| match item.kind.as_str() {
        "reasoning" => false,
        "message" => item.content.iter().flatten().any(|part| !part.text.as_deref().unwrap_or_default().is_empty()),
        // A tool that is to be called, and whatever else there will be.
        _ => true,
    };
    if output.iter().any(is_said) {
        return Ok(());
    }
    let parts = output.iter().flat_map(|item| item.content.iter().flatten());
    match parts.filter_map(|part| part.refusal.as_deref()).next() {
        Some(refusal) => wrong(ProblemType::UPSTREAM_REFUSED, format!("the model refused: {refusal}")),
        None => wrong(ProblemType::ANSWER_INCOMPLETE, "the answer says nothing".into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn verdict(status: &str, output: &Value) -> Result<(), String> {
        let details = if status == "incomplete" { json!({"reason": "content_filter"}) } else { Value::Null };
        let result = Json::from(json!({"status": status, "incomplete_details": details, "output": output}));
        check(&result).map_err(|problem| {
            assert_eq!(problem.upstream_error.as_deref(), Some(&result), "the answer is kept");
            format!("{}: {}", problem.name(), problem.detail)
        })
    }

    #[test]
    fn only_an_answer_that_says_something_is_one() {
        let message =
            |part: Value| json!([{"type": "reasoning", "summary": []}, {"type": "message", "content": [part]}]);
        assert_eq!(verdict("completed", &message(json!({"type": "output_text", "text": "71"}))), Ok(()));
        assert_eq!(verdict("completed", &json!([{"type": "function_call", "arguments": ""}])), Ok(()));
        let refused = verdict("completed", &message(json!({"type": "refusal", "refusal": "No."})));
        assert_eq!(refused.unwrap_err(), "upstream-refused: the model refused: No.");
        for nothing in [json!([]), message(json!({"type": "output_text", "text": ""}))] {
            assert_eq!(verdict("completed", &nothing).unwrap_err(), "answer-incomplete: the answer says nothing");
        }
        let cut = verdict("incomplete", &message(json!({"type": "output_text", "text": "half a"})));
        assert!(cut.unwrap_err().starts_with("answer-incomplete: the answer is incomplete: content_filter; "));
        assert_eq!(check(&Json::from(json!({"output": "of another form"}))), Ok(()));
    }
}
