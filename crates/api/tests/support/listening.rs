//! A server behind a real socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use raincheck_api::ApiSettings;
use raincheck_store::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::Server;

/// Short enough for a test, long enough for a busy machine.
pub(crate) const SHORT: Duration = Duration::from_millis(300);
/// Nothing here takes so long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Listening {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    pub(crate) serving: JoinHandle<std::io::Result<()>>,
}

pub(crate) async fn listen(settings: ApiSettings) -> Listening {
    let server = Server::with(ApiSettings { keyless: true, ..settings }, Limits::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (router, settings, closing) = (server.router.clone(), Arc::clone(&server.settings), server.closing.clone());
    #[expect(clippy::disallowed_methods, reason = "the test waits for it, or ends with it")]
    let serving = tokio::spawn(raincheck_api::serve(listener, router, settings, closing));
    Listening { server, address, serving }
}

impl Listening {
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends these bytes and gives everything that comes back until the server closes the connection.
    pub(crate) async fn talk(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        rest(&mut stream).await
    }
}

/// Everything that comes until the other side closes.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // The other side may well reset a connection on which it has not read everything.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it was not closed");
    String::from_utf8(bytes).unwrap()
}

/// What comes until this text has come.
pub(crate) async fn until(stream: &mut TcpStream, text: &str) -> String {
    let mut bytes = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&bytes).contains(text) {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "closed after {bytes:?}");
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("it did not come");
    String::from_utf8(bytes).unwrap()
}
