use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::header::HeaderMap;
use hyper::{Method, StatusCode, Uri};
use jiff::Timestamp;

use crate::egress::{Idle, Strangers};
use crate::{Egress, headers};

/// The longest that telling takes, from the look-up of the name to the end of the answer.
const TIME_MAX: Duration = Duration::from_secs(15);
/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Hosts are many, and seldom told twice within a few seconds.
const IDLE: Idle = Idle { max: 2, time: Duration::from_secs(5) };
/// Of an answer so many bytes are read, and for so long, so that the connection can be used again. They are not looked at.
const ANSWER_MAX: usize = 16 << 10;
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);
/// Nobody is left alone for longer than a day, whatever they ask.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Tells others what they asked to be told, at addresses that they chose: so only ones that are public or in a network that
/// the operator allows; in plain HTTP only the latter.
#[derive(Clone)]
pub struct Messenger(Arc<Strangers>);

/// How an endpoint answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// With this status. A redirect is one like any other: it is not followed.
    pub status: StatusCode,
    /// And it asked to be left alone for so long.
    pub retry_after: Option<Duration>,
}

impl Messenger {
    /// A messenger that goes where this lets it.
    #[must_use]
    pub fn new(egress: Egress) -> Self {
        Self(Arc::new(Strangers::new(egress, CONNECT_MAX, IDLE)))
    }

    /// What an address is, if it may be one to tell things at. Where its host's name leads is looked at when it is called.
    ///
    /// # Errors
    /// Why it may not.
    pub fn address(&self, text: &str) -> Result<Uri, String> {
        self.0.address(text)
    }

    /// Posts a body to an address, once.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn post(&self, url: &str, headers: HeaderMap, body: Bytes) -> Result<Answered, String> {
        let uri = self.address(url)?;
        let http = self.0.client(&uri)?;
        let mut request = hyper::Request::new(Either::Left(Full::new(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let exchange = async {
            let response = http.request(request).await.map_err(|error| crate::send::cause(&error))?;
            let retry_after = headers::retry_after(response.headers(), Timestamp::now(), RETRY_AFTER_MAX);
            Ok((Answered { status: response.status(), retry_after }, response.into_body()))
        };
        let late = |_| Err(format!("there was no answer within {} s", TIME_MAX.as_secs()));
        let (answered, body) = tokio::time::timeout(TIME_MAX, exchange).await.unwrap_or_else(late)?;
        // What it says besides, or that it does not get to its end, changes nothing.
        let _ = tokio::time::timeout(ANSWER_TIME_MAX, Limited::new(body, ANSWER_MAX).collect()).await;
        Ok(answered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messenger(allow: &str) -> Messenger {
        let allow = allow.split_whitespace().map(|network| network.parse().unwrap()).collect();
        Messenger::new(Egress { allow })
    }

    #[test]
    fn only_public_addresses_are_told_anything() {
        let messenger = messenger("");
        for good in [
            "https://hooks.example/a?b=c",
            "https://1.1.1.1:8443/",
            "https://[2606:4700::1111]/",
            "https://hooks.example.:443/",
        ] {
            assert!(messenger.address(good).is_ok(), "{good}");
        }
        for bad in [
            "hooks.example",
            "/path",
            "ftp://hooks.example/",
            "https://user:secret@hooks.example/",
            "https:///path",
            "https://hooks.example/#part",
            "https://hooks.example:25/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://169.254.169.254/latest/meta-data",
            "http://1.1.1.1/",
            "http://hooks.example/",
            "https://[::1%251]/",
            "https://a b/",
        ] {
            assert!(messenger.address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_allowed_network_may_be_told_in_plain_http() {
        let messenger = messenger("127.0.0.0/8");
        assert!(messenger.address("http://127.0.0.1:9000/").is_ok());
        assert!(messenger.address("http://10.0.0.1:9000/").is_err());
    }
}
