use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::Json;

const URN: &str = "urn:raincheck:problem:";

/// An error told to a client, in the terms of RFC 9457: what sort it is, what was wrong, where, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{title}: {detail}")]
pub struct Problem {
    /// Stable name of the sort of problem, a URN; docs/problems/ has a page for each.
    #[serde(rename = "type")]
    pub type_uri: Cow<'static, str>,
    /// The sort of problem in a few words; the same for every problem of the type.
    pub title: Cow<'static, str>,
    /// What was wrong this time and how to mend it.
    pub detail: String,
    /// Where in the request body: a JSON pointer (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<Box<str>>,
    /// The status that an upstream answered, if the problem is its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_status: Option<u16>,
    /// What an upstream answered, as it came, if that was JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_error: Option<Box<Json>>,
    /// How the front door should class it. Not part of the problem's JSON.
    #[serde(skip)]
    pub class: Class,
}

/// What a problem means for whoever asked; each front door turns it into its own codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Class {
    /// The request cannot be understood.
    Malformed,
    /// The request is understood, and asks for what cannot be.
    Invalid,
    /// No credentials, or unknown ones.
    Unauthenticated,
    /// The credentials do not allow it.
    Forbidden,
    /// There is no such thing, or it is none of the caller's business.
    NotFound,
    /// The method does not fit the thing.
    MethodNotAllowed,
    /// It was there, and is forgotten.
    Gone,
    /// The thing is in a state that does not allow it.
    Conflict,
    /// The request is larger than is taken.
    TooLarge,
    /// The head of the request is larger than is taken.
    HeadTooLarge,
    /// The request is in a format that is not read here.
    UnsupportedMedia,
    /// The request did not arrive in time.
    TooSlow,
    /// The caller's own limit is reached.
    Throttled,
    /// The server has too much to do, or is about to stop.
    Unavailable,
    /// The disk is full.
    StorageFull,
    /// Our own fault, or a handler's.
    #[default]
    Failed,
}

/// A sort of problem: its stable name, its title and its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProblemType {
    /// In lower-case words joined by hyphens; the last part of the URN.
    pub name: &'static str,
    /// The sort of problem in a few words.
    pub title: &'static str,
    /// What it means for whoever asked.
    pub class: Class,
}

macro_rules! catalogue {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $class:ident, $title:literal;)+) => {
        impl ProblemType {
            $($(#[$doc])* pub const $constant: Self = Self { name: $name, title: $title, class: Class::$class };)+

            /// Every sort of problem that Raincheck itself tells of.
            pub const ALL: &[Self] = &[$(Self::$constant),+];
        }
    };
}

catalogue! {
    /// The body is not JSON, or a header or parameter cannot be read.
    MALFORMED_REQUEST = "malformed-request", Malformed, "The request cannot be read";
    /// A field is missing, unknown, or has a value that cannot be.
    INVALID_REQUEST = "invalid-request", Invalid, "The request asks for something impossible";
    /// The handler of the kind does not take this input.
    INVALID_INPUT = "invalid-input", Invalid, "The input does not fit the kind";
    /// No handler for this kind.
    UNKNOWN_KIND = "unknown-kind", Invalid, "There is no such kind of job";
    /// A path of the input does not exist.
    PATH_NOT_FOUND = "path-not-found", Malformed, "Path not found";
    /// A path of the input is there but cannot be used.
    PATH_UNUSABLE = "path-unusable", Malformed, "The path cannot be used";
    /// A path of the input lies outside the configured roots.
    PATH_FORBIDDEN = "path-forbidden", Forbidden, "The path lies outside the configured roots";
    /// No API key, or an unknown one.
    UNAUTHENTICATED = "unauthenticated", Unauthenticated, "An API key is needed";
    /// The API key has not the scope that this needs.
    FORBIDDEN = "forbidden", Forbidden, "The API key does not allow this";
    /// No such thing, for this caller.
    NOT_FOUND = "not-found", NotFound, "There is no such thing";
    /// The path exists, but not with this method.
    METHOD_NOT_ALLOWED = "method-not-allowed", MethodNotAllowed, "This path does not take this method";
    /// The idempotency key was used before with another request.
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused", Invalid, "The idempotency key belongs to another request";
    /// The job has already ended.
    JOB_FINISHED = "job-finished", Conflict, "The job has already ended";
    /// The job has not ended yet.
    JOB_NOT_FINISHED = "job-not-finished", Conflict, "The job has not ended yet";
    /// The job has no webhook.
    NO_WEBHOOK = "no-webhook", Conflict, "The job has no webhook";
    /// The attempt lost its lease; whatever it wanted to write is refused.
    LEASE_LOST = "lease-lost", Conflict, "The lease is lost";
    /// The body is larger than the limit.
    BODY_TOO_LARGE = "body-too-large", TooLarge, "The request body is too large";
    /// The head of the request has more headers or bytes than the limit.
    HEAD_TOO_LARGE = "head-too-large", HeadTooLarge, "The head of the request is too large";
    /// The body is not JSON by its Content-Type.
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type", UnsupportedMedia, "The request body must be JSON";
    /// The body did not arrive in time.
    REQUEST_TIMEOUT = "request-timeout", TooSlow, "The request did not arrive in time";
    /// The tenant has as many jobs waiting as it may.
    QUOTA_REACHED = "quota-reached", Throttled, "Too many jobs are waiting";
    /// One address comes too often.
    RATE_LIMITED = "rate-limited", Throttled, "Too many requests";
    /// The conversation, or the tenant's number of them, is as large as it may be.
    CONVERSATION_LIMIT = "conversation-limit", Conflict, "The limit of conversations is reached";
    /// More is being asked than can be made durable.
    OVERLOADED = "overloaded", Unavailable, "The server has too much to do";
    /// The server is about to stop.
    SHUTTING_DOWN = "shutting-down", Unavailable, "The server is stopping";
    /// The disk has no room for another job.
    STORAGE_FULL = "storage-full", StorageFull, "The disk is full";
    /// The bucket that files are kept in does not answer.
    FILES_UNREACHABLE = "files-unreachable", Unavailable, "The files cannot be reached";
    /// A write failed in a way that leaves open whether it happened.
    OUTCOME_UNKNOWN = "outcome-unknown", Failed, "It is unknown whether this happened";
    /// A fault of the server.
    INTERNAL = "internal", Failed, "The server made a mistake";
    /// No configured upstream can be called for this.
    NO_UPSTREAM = "no-upstream", Invalid, "There is no upstream for this";
    /// The upstream takes no call now: its limit is reached, or it fails.
    UPSTREAM_CLOSED = "upstream-closed", Unavailable, "The upstream takes no call now";
    /// The upstream was not reached, did not answer, or failed.
    UPSTREAM_FAILED = "upstream-failed", Failed, "The upstream failed";
    /// The upstream does not do what it was asked, and would not if it were asked again.
    UPSTREAM_REFUSED = "upstream-refused", Failed, "The upstream refused";
    /// The upstream's answer broke off, or says nothing.
    ANSWER_INCOMPLETE = "answer-incomplete", Failed, "The upstream's answer is incomplete";
    /// What was fetched is not what may be: no picture, too large, or another format than was said.
    FILE_REFUSED = "file-refused", Failed, "The file is not taken";
    /// The upstream was asked and did not answer, and the job is not to be paid for twice.
    OUTCOME_AMBIGUOUS = "outcome-ambiguous", Failed, "It is unknown whether the upstream did it";
    /// What the job needs is in use by another; it is tried again.
    RESOURCE_BUSY = "resource-busy", Conflict, "What the job needs is in use";
    /// The handler gave an error.
    HANDLER_FAILED = "handler-failed", Failed, "The handler failed";
    /// The handler panicked.
    HANDLER_PANICKED = "handler-panicked", Failed, "The handler panicked";
    /// The attempt took longer than it may.
    ATTEMPT_TIMED_OUT = "attempt-timed-out", Failed, "The attempt took too long";
    /// The job's workers died three times while running it.
    QUARANTINED = "quarantined", Failed, "The job was quarantined";
    /// The job has no result, because somebody cancelled it.
    JOB_CANCELLED = "job-cancelled", Gone, "The job was cancelled";
    /// The job has no result, because its deadline passed first.
    JOB_EXPIRED = "job-expired", Gone, "The job's deadline passed";
    /// No server that runs here knows the kind any more.
    HANDLER_MISSING = "handler-missing", Failed, "There is no handler for the kind";
}

impl Problem {
    /// A problem of this type; `detail` says what was wrong this time and how to mend it.
    #[must_use]
    pub fn new(problem_type: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            type_uri: format!("{URN}{}", problem_type.name).into(),
            title: problem_type.title.into(),
            detail: detail.into(),
            pointer: None,
            upstream_status: None,
            upstream_error: None,
            class: problem_type.class,
        }
    }

    /// Says where in the request body it is wrong, as a JSON pointer.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into().into_boxed_str());
        self
    }

    /// Says what an upstream answered.
    #[must_use]
    pub fn of_upstream(mut self, status: u16, error: Option<Json>) -> Self {
        (self.upstream_status, self.upstream_error) = (Some(status), error.map(Box::new));
        self
    }

    /// The last part of the type's URN.
    #[must_use]
    pub fn name(&self) -> &str {
        self.type_uri.strip_prefix(URN).unwrap_or(&self.type_uri)
    }

    /// Whether it is of this type.
    #[must_use]
    pub fn is(&self, problem_type: ProblemType) -> bool {
        self.name() == problem_type.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_page() {
        for problem_type in ProblemType::ALL {
            let page = format!("{}/../../docs/problems/{}.md", env!("CARGO_MANIFEST_DIR"), problem_type.name);
            assert!(std::path::Path::new(&page).is_file(), "docs/problems/{}.md is missing", problem_type.name);
        }
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = ProblemType::ALL.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), ProblemType::ALL.len());
    }
}
