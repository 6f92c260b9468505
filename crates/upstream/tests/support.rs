use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use raincheck_core::Dice;
use raincheck_upstream::{Egress, Protocol, UpstreamConfig, Upstreams};
use tokio::net::TcpListener;

/// One answer of the server.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Each sent after a wait.
    pub(crate) pieces: Vec<(Duration, Bytes)>,
    /// Break off the connection behind them.
    pub(crate) breaks_off: bool,
    /// Before the status.
    pub(crate) wait: Duration,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        let pieces = vec![(Duration::ZERO, body.to_string().into())];
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { status, headers, pieces, breaks_off: false, wait: Duration::ZERO }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// What the server was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

/// A server that gives its replies in turn, and the last one for ever.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    /// The most that were under way at once.
    pub(crate) most: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (asked, most) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::<AtomicUsize>::default());
        let state = Arc::new((replies, Arc::clone(&asked), AtomicUsize::new(0), Arc::clone(&most)));
        #[expect(clippy::disallowed_methods, reason = "ends with the test")]
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&state);
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(Arc::clone(&state), request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { url, asked, most }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

type State = (Vec<Reply>, Arc<Mutex<Vec<Asked>>>, AtomicUsize, Arc<AtomicUsize>);
type Body = http_body_util::combinators::BoxBody<Bytes, std::io::Error>;

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (replies, asked, under_way, most) = &*state;
    most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let number = {
        let mut asked = asked.lock().unwrap();
        asked.push(Asked { path: parts.uri.path().to_owned(), headers: parts.headers, body });
        asked.len() - 1
    };
    let reply = replies[number.min(replies.len() - 1)].clone();
    tokio::time::sleep(reply.wait).await;
    let pieces = futures_util::stream::iter(reply.pieces).then(|(wait, bytes)| async move {
        tokio::time::sleep(wait).await;
        Ok(Frame::data(bytes))
    });
    let end = reply.breaks_off.then(|| Err(std::io::Error::other("broken off")));
    let pieces = pieces.chain(futures_util::stream::iter(end));
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    under_way.fetch_sub(1, Ordering::SeqCst);
    Ok(response.body(BodyExt::boxed(StreamBody::new(pieces))).unwrap())
}

/// An upstream at this address that speaks OpenAI's protocol.
pub(crate) fn config(url: &str) -> UpstreamConfig {
    UpstreamConfig::new(Protocol::Openai, url.parse().unwrap())
}

pub(crate) fn upstreams(configs: Vec<(&str, UpstreamConfig)>) -> Upstreams {
    let configs: BTreeMap<String, UpstreamConfig> =
        configs.into_iter().map(|(name, config)| (name.to_owned(), config)).collect();
    Upstreams::new(configs, &Egress::default(), || Dice(0)).unwrap()
}
