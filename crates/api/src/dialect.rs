//! What the doors that speak the dialects of other APIs share: their errors, ids, addresses and submissions.

mod addressed;
mod again;
mod attach;
mod base;
mod body;
mod error;
mod failure;
mod fields;
mod id;
mod jobs;
mod live;
mod log;
mod own_key;
mod pass;
mod passed;
mod replay;
mod submit;
mod tell;

pub(crate) use addressed::Addressed;
pub(crate) use attach::{Request, submit_once};
pub(crate) use base::Base;
pub(crate) use body::{field, fields, invalid};
pub(crate) use error::anthropic_type;
pub(crate) use failure::upstream_error;
pub(crate) use fields::Fields;
pub(crate) use id::{hex, job_of, uuid};
pub(crate) use jobs::{find, page, page_before};
pub(crate) use live::Calls;
pub(crate) use log::{Line, lines};
pub(crate) use own_key::{OurKey, own_key, refuse_own_key};
pub(crate) use pass::pass;
pub(crate) use passed::{passed_on, picked};
pub(crate) use submit::{Wish, submit};
pub(crate) use tell::{Teller, stream};

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use raincheck_core::Time;

use crate::problem::ApiError;

/// By what name Anthropic's SDKs speak of a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// By what name OpenAI's SDKs speak of a request.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An API whose dialect is spoken under a path of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Anthropic's Messages, under `/anthropic`.
    Anthropic,
    /// FAL's queue, under `/fal`.
    Fal,
    /// OpenAI's API, under `/openai`.
    OpenAi,
    /// Replicate's predictions, under `/replicate`.
    Replicate,
}

impl Dialect {
    /// The dialect that is spoken at a path.
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path.split('/').nth(1)? {
            "anthropic" => Some(Self::Anthropic),
            "fal" => Some(Self::Fal),
            "openai" => Some(Self::OpenAi),
            "replicate" => Some(Self::Replicate),
            _ => None,
        }
    }

    /// Puts an answer into the words of the dialect: a problem becomes its error, and its headers are set.
    pub(crate) fn translate(self, now: Time, response: &mut Response) {
        let request_id = error::request_id(now);
        if let Some(error) = response.extensions_mut().remove::<ApiError>() {
            error::tell(self, &error, &request_id, response);
        }
        let header = match self {
            Self::Anthropic => REQUEST_ID,
            Self::OpenAi => X_REQUEST_ID,
            Self::Fal | Self::Replicate => return,
        };
        // What an upstream has answered has its own already.
        if !response.headers().contains_key(&header) {
            let name = HeaderValue::try_from(request_id).expect("hexadecimal digits");
            response.headers_mut().insert(header, name);
        }
    }
}
