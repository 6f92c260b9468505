//! Problems in place of the bare answers that hyper gives by itself.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};

use raincheck_core::ProblemType;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::{HEADER_BYTES_MAX, HEADERS_MAX};
use crate::problem::ApiError;

/// What hyper sends when it cannot read the head of a request: a status, `connection: close`, and no body. No answer of ours
/// begins like that, because every refusal has a body.
struct Bare {
    beginning: &'static [u8],
    instead: LazyLock<Vec<u8>>,
}

static BARE: [Bare; 3] = [
    Bare {
        beginning: b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n",
        instead: LazyLock::new(|| {
            let detail = "the head of the request is no HTTP/1.1 (RFC 9112): look at its request line, the names and \
                          values of its headers, its Content-Length and its Transfer-Encoding";
            ApiError::new(ProblemType::MALFORMED_REQUEST, detail).bytes()
        }),
    },
    Bare {
        beginning: b"HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\n",
        instead: LazyLock::new(head_too_large),
    },
    Bare {
        beginning: b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n",
        instead: LazyLock::new(head_too_large),
    },
];

fn head_too_large() -> Vec<u8> {
    let detail = format!(
        "the head of a request may have {HEADERS_MAX} headers and {} KiB in all; send less of it, or send it in the body",
        HEADER_BYTES_MAX / 1024
    );
    ApiError::new(ProblemType::HEAD_TOO_LARGE, detail).bytes()
}

/// What a client is told that began the head of a request and did not end it in time.
pub(super) static TOO_SLOW: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let detail = "the head of the request did not arrive in time; send it again, whole";
    ApiError::new(ProblemType::REQUEST_TIMEOUT, detail).bytes()
});

/// What a client is told that speaks plain HTTP where TLS is spoken.
pub(super) static NO_TLS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let detail = "this port speaks TLS; use https:// in the address";
    ApiError::new(ProblemType::MALFORMED_REQUEST, detail).bytes()
});

/// A connection on which every refusal has a body that says what is wrong, also those that hyper makes by itself.
pub(super) struct Refusals<S> {
    stream: S,
    /// What is being sent instead of something else, and how much of it is sent.
    instead: Option<(&'static [u8], usize)>,
}

impl<S> Refusals<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, instead: None }
    }

    /// The connection itself.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncWrite + Unpin> Refusals<S> {
    /// Sends something else, if these bytes are an answer that says nothing. `None` if they are to be sent as they are.
    fn replace(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Option<Poll<io::Result<usize>>> {
        if self.instead.is_none() {
            let bare = BARE.iter().find(|bare| bytes.starts_with(bare.beginning))?;
            self.instead = Some((bare.instead.as_slice(), 0));
        }
        Some(self.send_instead(context, bytes.len()))
    }

    fn send_instead(&mut self, context: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        while let Some((instead, sent)) = &mut self.instead {
            let rest = &instead[*sent..];
            if rest.is_empty() {
                self.instead = None;
                break;
            }
            *sent += ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
        }
        Poll::Ready(Ok(length))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Refusals<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Refusals<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.replace(context, bytes) {
            Some(replaced) => replaced,
            None => Pin::new(&mut self.stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // An answer without a body is one slice.
        match slices.first().and_then(|first| self.replace(context, first)) {
            Some(replaced) => replaced,
            None => Pin::new(&mut self.stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
