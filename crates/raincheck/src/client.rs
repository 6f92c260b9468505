//! A thin client of the HTTP API. Every wait has an end, and one of more than two seconds says what it waits for.

mod connect;
mod events;
mod problem;
pub(crate) mod waiting;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use serde::de::DeserializeOwned;

use crate::console::Console;
use crate::exit::{Exit, Failure};
use connect::Http;
pub(crate) use events::{Event, Events, Lost};

/// Where the server listens unless told otherwise.
pub(crate) const SERVER_DEFAULT: &str = "http://127.0.0.1:7246";

/// How the server is reached.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the server is
    #[arg(long, global = true, env = "RAINCHECK_SERVER", hide_env_values = true, default_value = SERVER_DEFAULT, value_name = "URL")]
    server: String,
    /// The API key. Better set RAINCHECK_API_KEY: what is on the command line can be seen by others on this machine
    #[arg(long, global = true, env = "RAINCHECK_API_KEY", hide_env_values = true, value_name = "KEY")]
    key: Option<String>,
    /// How long to wait for a connection
    #[arg(long, global = true, default_value = "30s", value_name = "TIME", value_parser = raincheck_recipes::duration::parse)]
    connect_timeout: Duration,
    /// How long the server may say nothing
    #[arg(long, global = true, default_value = "300s", value_name = "TIME", value_parser = raincheck_recipes::duration::parse)]
    read_timeout: Duration,
}

impl std::fmt::Debug for Args {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Args").field("server", &self.server).finish_non_exhaustive()
    }
}

/// A client of one server.
pub(crate) struct Client {
    http: Http,
    server: String,
    key: Option<HeaderValue>,
    /// How long the server may say nothing.
    pub(crate) read_timeout: Duration,
    console: Console,
}

/// A request in the making.
pub(crate) struct Ask {
    method: Method,
    path: String,
    body: Option<String>,
    headers: Vec<(&'static str, String)>,
}

impl Ask {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None, headers: Vec::new() }
    }

    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self { method: Method::POST, ..Self::get(path) }
    }

    pub(crate) fn body(mut self, json: String) -> Self {
        self.body = Some(json);
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A good answer.
pub(crate) struct Answer(Bytes);

impl Answer {
    /// The body as it came.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// The body as `T`.
    ///
    /// # Errors
    /// If it is something else: then this is no server of ours, or one of another version.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.0).map_err(|error| {
            Failure::new(Exit::ServerFailed, format!("the server's answer cannot be understood: {error}"))
                .hint("is it a Raincheck server, of the same version as this command?")
        })
    }
}

impl Client {
    /// # Errors
    /// If the server's URL or the key is malformed, or the certificates of this machine cannot be read.
    pub(crate) fn new(args: &Args, console: Console) -> Result<Self, Failure> {
        let server = with_scheme(&args.server);
        let uri: Uri = server.parse().map_err(|_| not_a_url(&args.server))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.query().is_some() {
            return Err(not_a_url(&args.server));
        }
        let key = args.key.as_deref().filter(|key| !key.is_empty()).map(bearer).transpose()?;
        let http = connect::client(uri.scheme_str() == Some("https"), args.connect_timeout)?;
        let server = server.trim_end_matches('/').to_owned();
        Ok(Self { http, server, key, read_timeout: args.read_timeout, console })
    }

    /// Where the server is.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// What another command has to be told to find the same server.
    pub(crate) fn server_flag(&self) -> String {
        if self.server == SERVER_DEFAULT { String::new() } else { format!(" --server {}", self.server) }
    }

    /// Sends a request and takes the whole answer.
    ///
    /// # Errors
    /// If the server cannot be reached, does not answer, or tells a problem.
    pub(crate) async fn call(&self, ask: Ask) -> Result<Answer, Failure> {
        let what = format!("waiting for {}", self.server);
        waiting::told(self.console, &what, async {
            let response = self.send(ask).await?;
            self.take(response).await
        })
        .await
    }

    /// Sends a request and gives the answer as soon as its head is there.
    async fn send(&self, ask: Ask) -> Result<Response<Incoming>, Failure> {
        let request = self.request(ask)?;
        match tokio::time::timeout(self.read_timeout, self.http.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(connect::failure(&error, &self.server)),
            Err(_) => Err(self.silent()),
        }
    }

    fn request(&self, ask: Ask) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder().method(ask.method).uri(format!("{}{}", self.server, ask.path));
        if !ask.headers.iter().any(|(name, _)| *name == ACCEPT.as_str()) {
            request = request.header(ACCEPT, "application/json");
        }
        request = request.header(USER_AGENT, concat!("raincheck/", env!("CARGO_PKG_VERSION")));
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key);
        }
        if ask.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        let body = Full::new(Bytes::from(ask.body.unwrap_or_default()));
        request.body(body).map_err(|error| Failure::new(Exit::Usage, format!("the request cannot be made: {error}")))
    }

    /// Reads the body, and tells a problem as a failure.
    async fn take(&self, response: Response<Incoming>) -> Result<Answer, Failure> {
        let (head, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        loop {
            match tokio::time::timeout(self.read_timeout, body.frame()).await {
                Ok(None) => break,
                Ok(Some(Ok(frame))) => bytes.extend(frame.into_data().unwrap_or_default()),
                Ok(Some(Err(error))) => {
                    let message = format!("the answer of {} broke off: {error}", self.server);
                    return Err(Failure::new(Exit::Unreachable, message));
                }
                Err(_) => return Err(self.silent()),
            }
        }
        let bytes = Bytes::from(bytes);
        if head.status.is_success() { Ok(Answer(bytes)) } else { Err(problem::failure(&head, &bytes, &self.server)) }
    }

    fn silent(&self) -> Failure {
        let limit = raincheck_recipes::duration::show(self.read_timeout);
        let message = format!("{} has said nothing for {limit}", self.server);
        Failure::new(Exit::Unreachable, message).hint("--read-timeout sets how long it may be silent")
    }
}

fn bearer(key: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.trim()))
        .map_err(|_| Failure::new(Exit::Usage, "the API key has characters that no key has"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn with_scheme(server: &str) -> String {
    if server.contains("://") { server.to_owned() } else { format!("http://{server}") }
}

fn not_a_url(text: &str) -> Failure {
    let message = format!("expected the server's URL such as {SERVER_DEFAULT}, not {text:?}");
    Failure::new(Exit::Usage, message)
}

/// A part of a path or query, percent-encoded where it has to be.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_plain_letter_is_encoded() {
        assert_eq!(encoded("a b/ä&=~"), "a%20b%2F%C3%A4%26%3D~");
    }

    #[test]
    fn a_scheme_may_be_left_out() {
        assert_eq!(with_scheme("localhost:80"), "http://localhost:80");
        assert_eq!(with_scheme("https://x"), "https://x");
    }
}
