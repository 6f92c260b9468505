//! How each provider says no.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::config::Dialect;
use crate::fault::FaultKind;
use crate::line::Cut;

/// The page that proxies in front of providers answer with.
const BAD_GATEWAY: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1>\
    </center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

/// An answer instead of what was asked for.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) Box<Response>);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl From<Response> for Refusal {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

/// Why a request is refused.
#[derive(Clone, Debug)]
pub(crate) struct No {
    pub(crate) status: u16,
    pub(crate) why: Why,
    pub(crate) message: String,
}

/// The kinds of reasons that providers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Invalid,
    Unauthenticated,
    NotFound,
    /// The Response that another was to come after.
    PreviousNotFound,
    Conflict,
    RequestLimit,
    TokenLimit,
    Quota,
    Policy,
    Server,
    Overloaded,
}

impl No {
    pub(crate) fn new(status: u16, why: Why, message: impl Into<String>) -> Self {
        Self { status, why, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, Why::Invalid, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, Why::NotFound, message)
    }

    /// There is no Response of this id that another could come after.
    pub(crate) fn no_previous(id: &str) -> Self {
        Self::new(400, Why::PreviousNotFound, format!("Previous response with id '{id}' not found."))
    }

    /// What a fault of this kind says.
    pub(crate) fn fault(kind: FaultKind, status: u16) -> Self {
        let (why, message) = match kind {
            FaultKind::RateLimited => (Why::RequestLimit, "Rate limit reached; please try again later."),
            FaultKind::InsufficientQuota => {
                (Why::Quota, "You exceeded your current quota, please check your plan and billing details.")
            }
            FaultKind::ContentPolicy => (Why::Policy, "Your request was rejected as a result of our safety system."),
            FaultKind::Unavailable | FaultKind::Overloaded => (Why::Overloaded, "Overloaded"),
            _ => match status {
                401 | 403 => (Why::Unauthenticated, "Incorrect API key provided."),
                404 => (Why::NotFound, "Not found"),
                409 => (Why::Conflict, "Conflict"),
                429 => (Why::RequestLimit, "Rate limit reached; please try again later."),
                400..500 => (Why::Invalid, "Invalid request"),
                _ => (Why::Server, "The server had an error while processing your request. Sorry about that!"),
            },
        };
        Self::new(status, why, message)
    }

    /// The answer, in the provider's own words.
    pub(crate) fn answer(&self, dialect: Dialect, request_id: &str) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = if self.status == 502 {
            let mut page = Response::new(Body::from(BAD_GATEWAY));
            page.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
            page
        } else {
            axum::Json(self.body(dialect, request_id)).into_response()
        };
        *response.status_mut() = status;
        response
    }

    /// The error object of the dialect.
    pub(crate) fn body(&self, dialect: Dialect, request_id: &str) -> Value {
        let Self { status, message, .. } = self;
        match dialect {
            Dialect::Openai => {
                let (kind, code) = self.openai();
                let param = (self.why == Why::PreviousNotFound).then_some("previous_response_id");
                json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
            }
            Dialect::Anthropic => {
                let error = json!({"type": self.anthropic(), "message": message});
                json!({"type": "error", "error": error, "request_id": request_id})
            }
            Dialect::Fal if self.why == Why::Policy => json!({"detail": [
                {"loc": ["body", "prompt"], "msg": message, "type": "content_policy_violation", "input": null}
            ]}),
            Dialect::Fal => json!({"detail": message, "error_type": self.fal()}),
            Dialect::Replicate => json!({"title": self.replicate(), "detail": message, "status": status}),
            Dialect::Http => json!({"error": message, "status": status}),
        }
    }

    /// `type` and `code`.
    fn openai(&self) -> (&'static str, Option<&'static str>) {
        match self.why {
            Why::Invalid | Why::Conflict => ("invalid_request_error", None),
            Why::Unauthenticated => ("invalid_request_error", Some("invalid_api_key")),
            Why::NotFound => ("invalid_request_error", Some("not_found")),
            Why::PreviousNotFound => ("invalid_request_error", Some("previous_response_not_found")),
            Why::RequestLimit => ("requests", Some("rate_limit_exceeded")),
            Why::TokenLimit => ("tokens", Some("rate_limit_exceeded")),
            Why::Quota => ("insufficient_quota", Some("insufficient_quota")),
            Why::Policy => ("invalid_request_error", Some("content_policy_violation")),
            Why::Server => ("server_error", None),
            Why::Overloaded => ("server_error", Some("server_overloaded")),
        }
    }

    fn anthropic(&self) -> &'static str {
        match self.why {
            Why::Invalid | Why::Conflict | Why::Quota | Why::Policy => "invalid_request_error",
            Why::Unauthenticated => "authentication_error",
            Why::NotFound | Why::PreviousNotFound => "not_found_error",
            Why::RequestLimit | Why::TokenLimit => "rate_limit_error",
            Why::Server => "api_error",
            Why::Overloaded => "overloaded_error",
        }
    }

    fn fal(&self) -> &'static str {
        match self.why {
            Why::Invalid | Why::Conflict | Why::Policy | Why::NotFound | Why::PreviousNotFound => "bad_request",
            Why::Unauthenticated | Why::Quota => "user_locked",
            Why::RequestLimit | Why::TokenLimit => "rate_limited",
            Why::Server => "internal_server_error",
            Why::Overloaded => "runner_scheduling_failure",
        }
    }

    fn replicate(&self) -> &'static str {
        match self.why {
            Why::Invalid | Why::Conflict | Why::Policy => "Input validation failed",
            Why::Unauthenticated => "Unauthenticated",
            Why::NotFound | Why::PreviousNotFound => "Not found",
            Why::RequestLimit | Why::TokenLimit => "Too many requests",
            Why::Quota => "Insufficient credit",
            Why::Server | Why::Overloaded => "Internal server error",
        }
    }
}

/// No answer at all: the connection is cut.
pub(crate) fn cut() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Cut);
    response
}
