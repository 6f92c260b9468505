//! As much of an HTTP/1.1 client as it takes, and no more: it shares two cores with the server that it measures.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A connection that is kept open. One request at a time.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
    /// When the body began to come.
    pub(crate) begun: Instant,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 4096], filled: 0 })
    }

    /// Opens so many. Loads begin only then: connecting while others already ask would take longer than the asking.
    pub(crate) async fn open_many(address: SocketAddr, count: usize) -> io::Result<Vec<Self>> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.push(Self::open(address).await?);
        }
        Ok(connections)
    }

    /// Sends a request and reads the whole answer, which must say its length or come in chunks.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.filled = 0;
        let head = loop {
            self.read_more().await?;
            if let Some(head) = Head::read(&self.buffer[..self.filled])? {
                break head;
            }
        };
        let (begun, end) = match head.body {
            Length::Known(length) => (Instant::now(), self.read_until(head.length + length).await?),
            Length::Chunked => self.read_chunks(head.length).await?,
        };
        Ok(Answer { status: head.status, body: &self.buffer[head.length..end], begun })
    }

    /// Reads on until so much is there.
    async fn read_until(&mut self, end: usize) -> io::Result<usize> {
        while self.filled < end {
            self.read_more().await?;
        }
        Ok(end)
    }

    /// Reads a body in chunks and puts it together, from `start` on. Gives when the first came, and where it ends.
    async fn read_chunks(&mut self, start: usize) -> io::Result<(Instant, usize)> {
        let (mut begun, mut read, mut written) = (None, start, start);
        loop {
            let Some((size, length)) = chunk_size(&self.buffer[read..self.filled])? else {
                self.read_more().await?;
                continue;
            };
            read += length;
            self.read_until(read + size + CRLF.len()).await?;
            if size == 0 {
                return Ok((begun.unwrap_or_else(Instant::now), written));
            }
            begun.get_or_insert_with(Instant::now);
            self.buffer.copy_within(read..read + size, written);
            written += size;
            read += size + CRLF.len();
        }
    }

    async fn read_more(&mut self) -> io::Result<()> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled * 2, 0);
        }
        match self.stream.read(&mut self.buffer[self.filled..]).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.filled += read;
                Ok(())
            }
        }
    }
}

const CRLF: &[u8] = b"\r\n";

/// The size of the chunk that begins here, and the length of the line that says so, if that is all there.
fn chunk_size(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let Some(end) = bytes.windows(CRLF.len()).position(|window| window == CRLF) else { return Ok(None) };
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| broken())?;
    let size = line.split(';').next().unwrap_or_default().trim();
    let size = usize::from_str_radix(size, 16).map_err(|_| broken())?;
    Ok(Some((size, end + CRLF.len())))
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an answer is no HTTP")
}

/// How the end of a body is known.
#[derive(Debug, PartialEq, Eq)]
enum Length {
    Known(usize),
    Chunked,
}

/// The first part of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    length: usize,
    body: Length,
}

impl Head {
    /// Reads it, if it is all there.
    fn read(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| broken())?;
        let status = text.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(broken)?;
        let mut body = Length::Known(0);
        for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                body = Length::Known(value.trim().parse().map_err(|_| broken())?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                body = Length::Chunked;
            }
        }
        Ok(Some(Self { status, length: end + 4, body }))
    }
}

/// The bytes of a request with a JSON body.
pub(crate) fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// The bytes of a request without a body.
pub(crate) fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text = b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\nlocation: /x\r\n\r\nhello";
        assert_eq!(Head::read(&text[..20]).unwrap(), None);
        let head = Head { status: 202, length: text.len() - 5, body: Length::Known(5) };
        assert_eq!(Head::read(text).unwrap(), Some(head));
        let chunked = Head::read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        assert_eq!(chunked.map(|head| head.body), Some(Length::Chunked));
    }

    #[test]
    fn the_size_of_a_chunk_is_read_once_its_line_is_whole() {
        assert_eq!(chunk_size(b"1a").unwrap(), None);
        assert_eq!(chunk_size(b"1a;x=y\r\nabc").unwrap(), Some((26, 8)));
        assert_eq!(chunk_size(b"0\r\n\r\n").unwrap(), Some((0, 3)));
        assert!(chunk_size(b"x\r\n").is_err());
    }

    #[tokio::test]
    async fn a_body_in_chunks_is_put_together_however_it_comes() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            // One byte at a time: every cut there can be.
            for byte in
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA\r\n, chunked!\r\n0\r\n\r\n"
            {
                stream.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
            stream
        };
        let asking = async {
            let mut connection = Connection::open(address).await.unwrap();
            let answer = connection.ask(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            (answer.status, String::from_utf8(answer.body.to_vec()).unwrap())
        };
        let (_stream, answer) = tokio::join!(serving, asking);
        assert_eq!(answer, (200, "hello, chunked!".to_owned()));
    }
}
