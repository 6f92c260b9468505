use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Response, StatusCode, Uri};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::egress::{Idle, Strangers};
use crate::{Egress, headers};

/// The longest that a fetch takes, with its redirects and all its bytes.
const TIME_MAX: Duration = Duration::from_secs(300);
/// How long a connection may take, an answer until it begins, and each piece of it.
const CONNECT_MAX: Duration = Duration::from_secs(10);
const ANSWER_MAX: Duration = Duration::from_secs(60);
const GAP_MAX: Duration = Duration::from_secs(30);
/// How often a fetch is sent elsewhere.
const REDIRECTS_MAX: usize = 3;
/// What is fetched comes from few hosts, often several at a time.
const IDLE: Idle = Idle { max: 4, time: Duration::from_secs(15) };

/// Fetches files from addresses that others chose: so only from ones that are public or in a network that the operator
/// allows; in plain HTTP only the latter. A redirect leads only where the fetch itself might have gone.
#[derive(Clone)]
pub struct Fetcher(Arc<Strangers>);

/// Why a file was not fetched.
#[derive(Debug)]
pub enum FetchFailure {
    /// It may not be, and will not be allowed to be a moment later.
    Refused(String),
    /// Its server answered this instead.
    Status {
        /// The status.
        status: u16,
        /// When it asked to be asked again.
        retry_after: Option<Duration>,
    },
    /// Its server was not reached, or broke off. A name that leads nowhere and one that leads to an address that may not be
    /// called look alike, so that nobody can find out which names there are in the server's own network.
    Failed(String),
}

/// A file whose bytes are coming.
pub struct Fetched {
    /// Its media type in lower case without parameters, if its server said one.
    pub media_type: Option<String>,
    /// How many bytes it has, if its server said so.
    pub bytes: Option<u64>,
    body: Incoming,
    deadline: Instant,
}

impl std::fmt::Debug for Fetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetched")
            .field("media_type", &self.media_type)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Fetcher {
    /// A fetcher that goes where this lets it.
    #[must_use]
    pub fn new(egress: Egress) -> Self {
        Self(Arc::new(Strangers::new(egress, CONNECT_MAX, IDLE)))
    }

    /// Whether this may be an address to fetch from. Where its host's name leads is looked at when it is called.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check(&self, url: &str) -> Result<(), String> {
        self.0.address(url).map(drop)
    }

    /// Begins to fetch what is at an address; `accept` says in what media types.
    ///
    /// # Errors
    /// Why there is nothing.
    pub async fn fetch(&self, url: &str, accept: &str) -> Result<Fetched, FetchFailure> {
        let deadline = Instant::now() + TIME_MAX;
        let mut uri = self.0.address(url).map_err(FetchFailure::Refused)?;
        for _ in 0..=REDIRECTS_MAX {
            let response = self.ask(&uri, accept, deadline).await?;
            match response.status() {
                StatusCode::OK => return fetched(response, deadline),
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => uri = self.follow(&uri, response.headers())?,
                status => {
                    let retry_after = headers::retry_after(response.headers(), Timestamp::now(), headers::WAIT_MAX);
                    return Err(FetchFailure::Status { status: status.as_u16(), retry_after });
                }
            }
        }
        Err(FetchFailure::Refused(format!("it was redirected more than {REDIRECTS_MAX} times")))
    }

    async fn ask(&self, uri: &Uri, accept: &str, deadline: Instant) -> Result<Response<Incoming>, FetchFailure> {
        let mut request = hyper::Request::new(Either::Left(Full::new(Bytes::new())));
        *request.uri_mut() = uri.clone();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static("raincheck"));
        headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap_or(HeaderValue::from_static("*/*")));
        let http = self.0.client(uri).map_err(FetchFailure::Failed)?;
        let due = deadline.min(Instant::now() + ANSWER_MAX);
        match tokio::time::timeout_at(due, http.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(FetchFailure::Failed(crate::send::cause(&error))),
            Err(_) => Err(FetchFailure::Failed(format!("there was no answer within {} s", ANSWER_MAX.as_secs()))),
        }
    }

    /// Where a redirect leads, if it may be gone there.
    fn follow(&self, from: &Uri, headers: &HeaderMap) -> Result<Uri, FetchFailure> {
        let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| FetchFailure::Refused("it is redirected nowhere".to_owned()))?;
        let to = resolved(from, location);
        self.0
            .address(&to)
            .map_err(|why| FetchFailure::Refused(format!("it is redirected where none is followed: {why}")))
    }
}

/// The address that a reference in an answer from another means (RFC 3986, section 5.2), without its fragment.
fn resolved(from: &Uri, reference: &str) -> String {
    let reference = reference.split('#').next().unwrap_or_default();
    let scheme = from.scheme_str().unwrap_or("https");
    let origin = format!("{scheme}://{}", from.authority().map_or("", |authority| authority.as_str()));
    if reference.contains("://") {
        reference.to_owned()
    } else if reference.starts_with("//") {
        format!("{scheme}:{reference}")
    } else if reference.starts_with('/') {
        format!("{origin}{reference}")
    } else if reference.is_empty() || reference.starts_with('?') {
        format!("{origin}{}{reference}", from.path())
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{origin}{folder}/{reference}")
    }
}

fn fetched(response: Response<Incoming>, deadline: Instant) -> Result<Fetched, FetchFailure> {
    let text = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if let Some(coding) = text(CONTENT_ENCODING).filter(|coding| !coding.trim().eq_ignore_ascii_case("identity")) {
        let shown: String = coding.chars().take(40).collect();
        return Err(FetchFailure::Refused(format!("its server sent it as {shown:?}, which it was not asked to")));
    }
    let media_type = text(CONTENT_TYPE).and_then(|text| text.split(';').next()).map(|text| text.trim().to_lowercase());
    let bytes = response.body().size_hint().exact();
    let media_type = media_type.filter(|text| !text.is_empty());
    Ok(Fetched { media_type, bytes, body: response.into_body(), deadline })
}

impl Fetched {
    /// The next piece; nothing if that was all.
    ///
    /// # Errors
    /// If it breaks off or does not come in time.
    pub async fn next(&mut self) -> Result<Option<Bytes>, FetchFailure> {
        loop {
            let due = self.deadline.min(Instant::now() + GAP_MAX);
            match tokio::time::timeout_at(due, self.body.frame()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) if !piece.is_empty() => return Ok(Some(piece)),
                    // Trailers say nothing of the file.
                    _ => {}
                },
                Ok(Some(Err(error))) => {
                    return Err(FetchFailure::Failed(format!("it broke off: {}", crate::send::cause(&error))));
                }
                Err(_) if due == self.deadline => {
                    return Err(FetchFailure::Failed(format!("it took longer than {} s", TIME_MAX.as_secs())));
                }
                Err(_) => {
                    return Err(FetchFailure::Failed(format!("nothing more of it came for {} s", GAP_MAX.as_secs())));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_read_as_browsers_do() {
        let from: Uri = "https://a.example:8443/x/y?z=1".parse().unwrap();
        for (reference, to) in [
            ("https://b.example/c", "https://b.example/c"),
            ("//b.example/c#d", "https://b.example/c"),
            ("/c?d=1", "https://a.example:8443/c?d=1"),
            ("c", "https://a.example:8443/x/c"),
            ("?w=2", "https://a.example:8443/x/y?w=2"),
        ] {
            assert_eq!(resolved(&from, reference), to);
        }
    }

    #[test]
    fn a_redirect_leads_only_where_the_fetch_might_have_gone() {
        let fetcher = Fetcher::new(Egress::default());
        let from: Uri = "https://a.example/x".parse().unwrap();
        let follow =
            |to: &'static str| fetcher.follow(&from, &HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(to))]));
        assert!(follow("/y").is_ok() && follow("https://b.example/").is_ok());
        for to in [
            "http://a.example/",
            "https://169.254.169.254/",
            "//[::1]/",
            "file:///etc/passwd",
            "https://u:p@b.example/",
        ] {
            assert!(matches!(follow(to), Err(FetchFailure::Refused(_))), "{to}");
        }
        assert!(matches!(fetcher.follow(&from, &HeaderMap::new()), Err(FetchFailure::Refused(_))));
    }
}
