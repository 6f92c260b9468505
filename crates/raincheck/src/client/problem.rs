use hyper::StatusCode;
use hyper::header::RETRY_AFTER;
use hyper::http::response::Parts;
use serde::Deserialize;

use crate::console::harmless;
use crate::exit::{Exit, Failure};

/// A problem (RFC 9457) as the server tells it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    #[serde(rename = "type")]
    type_uri: String,
    title: String,
    detail: String,
    pointer: Option<String>,
    outcome: Option<String>,
}

/// What a person can make of an answer that is none of the good ones.
pub(crate) fn failure(head: &Parts, body: &[u8], server: &str) -> Failure {
    let status = head.status;
    let exit = if status.is_client_error() { Exit::Refused } else { Exit::ServerFailed };
    let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
        let message = format!("{server} answered {status}, and not like a Raincheck server");
        return Failure::new(exit, message).hint("is the URL right? --server says where the server is");
    };
    let mut message = format!("{}\n       {}", harmless(&problem.title), harmless(&problem.detail));
    if let Some(pointer) = &problem.pointer {
        message.push_str(&format!("\n   at: {}", harmless(pointer)));
    }
    message.push_str(&format!("\n type: {} ({})", harmless(&problem.type_uri), status.as_u16()));
    if problem.outcome.as_deref() == Some("unknown") && !problem.type_uri.ends_with(":outcome-unknown") {
        message.push_str("\n       It is unknown whether the request was carried out.");
    }
    let failure = Failure::new(exit, message);
    let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    match (status, retry_after) {
        (StatusCode::UNAUTHORIZED, _) => {
            failure.hint("set RAINCHECK_API_KEY; `raincheck key create` on the server's machine makes a key")
        }
        (_, Some(seconds)) => failure.hint(format!("try again in {} s", harmless(seconds))),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use hyper::Response;

    use super::*;

    fn told(status: u16, body: &str) -> Failure {
        let (head, ()) = Response::builder().status(status).body(()).unwrap().into_parts();
        failure(&head, body.as_bytes(), "http://x")
    }

    #[test]
    fn a_problem_is_told_with_its_place_and_type() {
        let body = r#"{"type": "urn:raincheck:problem:path-not-found", "title": "Path not found", "status": 400,
            "detail": "there is no such directory", "pointer": "/input/path", "outcome": "rejected"}"#;
        let failure = told(400, body);
        assert_eq!(failure.exit, Exit::Refused);
        insta::assert_snapshot!(failure.message, @r"
        Path not found
               there is no such directory
           at: /input/path
         type: urn:raincheck:problem:path-not-found (400)
        ");
    }

    #[test]
    fn what_is_no_problem_is_told_as_such() {
        let failure = told(502, "<html>Bad gateway</html>");
        assert_eq!(failure.exit, Exit::ServerFailed);
        assert!(failure.message.contains("not like a Raincheck server"));
    }
}
