//! WebSockets (RFC 6455), for clients that follow a job by one in place of server-sent events. The server speaks, the client
//! listens.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use futures_util::future::BoxFuture;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_util::sync::CancellationToken;

use crate::problem::ApiError;
use crate::query::malformed;

/// The most that a client may send at once, in bytes: it has nothing to say.
const HEARD_MAX: usize = 4 * 1024;
/// The most that is written ahead of a client, in bytes; a longer text is written for itself.
const AHEAD_MAX: usize = 64 * 1024;
/// How long a client may take to say good-bye.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// What follows on a connection once the answer `101` is sent: it is given what is left of it, and what was read ahead.
type Rest = Box<dyn FnOnce(Box<dyn Wire>, Vec<u8>) -> BoxFuture<'static, ()> + Send>;

/// A connection.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire for S {}

/// Takes a connection over from HTTP/1.1. It stays within the connection's task, and so within all limits of connections.
#[derive(Clone, Default)]
pub(crate) struct Handover(Arc<Mutex<Option<Rest>>>);

impl Handover {
    /// What follows on the connection, if anything does.
    pub(crate) fn take(&self) -> Option<Rest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What is told by a WebSocket.
pub(crate) trait Telling: Send + 'static {
    /// What there is to tell next, each a message; nothing for so long that a sign of life is due, if there is none; `None` at
    /// the end.
    fn next(&mut self) -> impl Future<Output = Option<Vec<String>>> + Send;
}

/// A client's wish for a WebSocket.
pub(crate) struct Handshake {
    accept: HeaderValue,
    handover: Handover,
}

impl Handshake {
    /// The client's wish, if it has it.
    ///
    /// # Errors
    /// If it cannot be granted: a version other than 13, no key, a connection that cannot be taken over.
    pub(crate) fn of(parts: &Parts) -> Result<Option<Self>, ApiError> {
        let headers = &parts.headers;
        if !has(headers, &UPGRADE, "websocket") || !has(headers, &CONNECTION, "upgrade") {
            return Ok(None);
        }
        if !has(headers, &SEC_WEBSOCKET_VERSION, "13") {
            return Err(malformed("a WebSocket is spoken in version 13 (Sec-WebSocket-Version: 13)".to_owned()));
        }
        let key = headers.get(SEC_WEBSOCKET_KEY);
        let key = key.ok_or_else(|| malformed("a WebSocket begins with a Sec-WebSocket-Key".to_owned()))?;
        let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes())).expect("Base64 is plain ASCII");
        let handover = parts.extensions.get::<Handover>().cloned();
        let handover = handover.ok_or_else(|| {
            malformed("no WebSocket can be opened on this connection; follow with Accept: text/event-stream".to_owned())
        })?;
        Ok(Some(Self { accept, handover }))
    }

    /// Grants it: the answer, behind which everything is told.
    pub(crate) fn tell(self, telling: impl Telling, closing: CancellationToken) -> Response {
        let rest: Rest = Box::new(move |wire, read| Box::pin(talk(wire, read, telling, closing)));
        *self.handover.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(rest);
        let mut response = Response::default();
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        response
    }
}

/// Whether a header that lists words has this one.
fn has(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|listed| listed.trim().eq_ignore_ascii_case(word))
}

async fn talk(wire: Box<dyn Wire>, read: Vec<u8>, mut telling: impl Telling, closing: CancellationToken) {
    let config = WebSocketConfig::default()
        .read_buffer_size(HEARD_MAX)
        .max_message_size(Some(HEARD_MAX))
        .max_frame_size(Some(HEARD_MAX))
        .write_buffer_size(AHEAD_MAX);
    let mut socket = WebSocketStream::from_partially_read(wire, read, Role::Server, Some(config)).await;
    let code = loop {
        match hear(&mut socket, telling.next()).await {
            Ok(Some(texts)) => {
                if say(&mut socket, texts).await.is_err() {
                    return;
                }
            }
            Ok(None) if closing.is_cancelled() => break CloseCode::Away,
            Ok(None) => break CloseCode::Normal,
            Err(Heard::Words) => break CloseCode::Policy,
            Err(Heard::End) => return,
        }
    };
    let reason = if code == CloseCode::Policy { "nothing is listened to here" } else { "" };
    let goodbye = async {
        socket.close(Some(CloseFrame { code, reason: reason.into() })).await?;
        while socket.next().await.is_some_and(|heard| heard.is_ok()) {}
        Ok::<_, Error>(())
    };
    // Who does not answer is left all the same.
    let _ = tokio::time::timeout(GOODBYE_MAX, goodbye).await;
}

/// What a client has said that ends it.
enum Heard {
    /// It spoke, where there is nothing to say.
    Words,
    /// It said good-bye, or is gone.
    End,
}

/// What there is to tell, if the client listens until then.
async fn hear<T>(socket: &mut WebSocketStream<Box<dyn Wire>>, telling: impl Future<Output = T>) -> Result<T, Heard> {
    let mut telling = pin!(telling);
    loop {
        tokio::select! {
            biased;
            heard = socket.next() => match heard {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Text(_) | Message::Binary(_))) => return Err(Heard::Words),
                Some(_) | None => return Err(Heard::End),
            },
            told = telling.as_mut() => return Ok(told),
        }
    }
}

/// A message for each text; a sign of life if there is none.
async fn say(socket: &mut WebSocketStream<Box<dyn Wire>>, texts: Vec<String>) -> Result<(), Error> {
    if texts.is_empty() {
        return socket.send(Message::Ping(Bytes::new())).await;
    }
    for text in texts {
        socket.feed(Message::text(text)).await?;
    }
    socket.flush().await
}
