use std::fmt;
use std::io;

use hyper::StatusCode;

/// Why a bucket did not do what it was asked. It never tells a key, a signature, or anything else that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The status of the answer, if there was one.
    status: Option<StatusCode>,
    /// The service's name for what is wrong, such as `NoSuchBucket`; empty if it gave none.
    pub code: String,
    detail: String,
}

impl Trouble {
    pub(crate) fn of(error: &object_store::Error) -> Self {
        let text = error.to_string();
        let status = match error {
            object_store::Error::NotFound { .. } => Some(StatusCode::NOT_FOUND),
            object_store::Error::PermissionDenied { .. } => Some(StatusCode::FORBIDDEN),
            object_store::Error::Unauthenticated { .. } => Some(StatusCode::UNAUTHORIZED),
            object_store::Error::AlreadyExists { .. } => Some(StatusCode::CONFLICT),
            object_store::Error::Precondition { .. } => Some(StatusCode::PRECONDITION_FAILED),
            _ => between(&text, "status code: ", " ").and_then(|status| status.parse().ok()),
        };
        let code = between(&text, "<Code>", "</Code>").unwrap_or_default().to_owned();
        let message = between(&text, "<Message>", "</Message>");
        // What else stands in an answer may be what was signed. What comes of the way there is our own text.
        let detail = match (message, status) {
            (Some(message), _) => message.to_owned(),
            (None, Some(_)) => String::new(),
            (None, None) => cause(error),
        };
        Self { status, code, detail }
    }

    /// Something wrong with what came, though the answer was good.
    pub(crate) fn odd(detail: impl Into<String>) -> Self {
        Self { status: None, code: String::new(), detail: detail.into() }
    }

    /// Whether the service has said that it will not, so that asking again unchanged is in vain.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        let passes = [StatusCode::REQUEST_TIMEOUT, StatusCode::CONFLICT, StatusCode::TOO_MANY_REQUESTS];
        self.status
            .is_some_and(|status| (status.is_client_error() || status.is_redirection()) && !passes.contains(&status))
            || self.detail.contains("redirect without LOCATION")
    }

    /// Whether it is that the object is not there.
    pub(crate) fn is_missing(&self) -> bool {
        self.status == Some(StatusCode::NOT_FOUND) && self.code != "NoSuchBucket"
    }

    /// Whether the service does not know a condition that it was sent.
    pub(crate) fn is_unknown(&self) -> bool {
        self.status == Some(StatusCode::NOT_IMPLEMENTED) || self.code == "NotImplemented"
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status.map(|status| status.as_u16().to_string()).unwrap_or_default();
        let parts = [&*status, &*self.code, &*self.detail];
        f.write_str(&parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "))
    }
}

impl std::error::Error for Trouble {}

impl From<Trouble> for io::Error {
    fn from(trouble: Trouble) -> Self {
        let kind = if trouble.is_missing() { io::ErrorKind::NotFound } else { io::ErrorKind::NotConnected };
        Self::new(kind, trouble)
    }
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(begin)?;
    rest.split_once(end).map(|(inner, _)| inner)
}

/// What is at the bottom of an error.
fn cause(mut error: &(dyn std::error::Error + 'static)) -> String {
    while let Some(deeper) = error.source() {
        error = deeper;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: &str) -> Trouble {
        let source = format!("Server returned non-2xx status code: 400 Bad Request: {body}").into();
        Trouble::of(&object_store::Error::Generic { store: "S3", source })
    }

    #[test]
    fn a_refusal_is_told_without_what_was_signed() {
        let body = "<Error><Code>SignatureDoesNotMatch</Code><Message>It does not match.</Message>\
                    <AWSAccessKeyId>AKIACANARY</AWSAccessKeyId><StringToSign>canary</StringToSign></Error>";
        assert_eq!(told(body).to_string(), "400 SignatureDoesNotMatch It does not match.");
        assert!(told(body).is_refusal());
        assert_eq!(told("canary").to_string(), "400");
    }

    #[test]
    fn a_bucket_that_is_not_there_is_no_object_that_is_not_there() {
        let missing = |code: &str| {
            let source = format!("Server returned non-2xx status code: 404 Not Found: <Code>{code}</Code>").into();
            Trouble::of(&object_store::Error::NotFound { path: "a".into(), source }).is_missing()
        };
        assert!(missing("NoSuchKey") && !missing("NoSuchBucket"));
        assert_eq!(io::Error::from(told("<Code>NoSuchBucket</Code>")).kind(), io::ErrorKind::NotConnected);
    }

    #[test]
    fn what_may_pass_is_no_refusal() {
        let error = object_store::Error::Generic { store: "S3", source: "connection refused".into() };
        assert_eq!(
            (Trouble::of(&error).is_refusal(), Trouble::of(&error).to_string()),
            (false, "connection refused".into())
        );
        let busy = "Server returned non-2xx status code: 503 Service Unavailable: <Code>SlowDown</Code>".into();
        assert!(!Trouble::of(&object_store::Error::Generic { store: "S3", source: busy }).is_refusal());
    }
}
