use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::reader::Reader;

/// `[server]`: where it listens and where it keeps what it must not lose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// The address and port to listen on; port 0 takes a free one.
    pub(crate) listen: SocketAddr,
    /// The directory of everything that is kept.
    pub(crate) data_dir: PathBuf,
    /// How long running attempts may take to end when the server is asked to stop, before they are handed back.
    pub(crate) drain_grace: Duration,
    /// The server's certificate and those that lead to its authority, in PEM; with it TLS is spoken.
    pub(crate) tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM.
    pub(crate) tls_key: Option<PathBuf>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            // RAIN on a telephone's keys: a port that the API behind which Raincheck stands does not use already.
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7246)),
            data_dir: "raincheck-data".into(),
            drain_grace: Duration::from_secs(30),
            tls_cert: None,
            tls_key: None,
        }
    }
}

impl Server {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let default = Self::default();
        let mut section = reader.section("server");
        Self {
            listen: section.get("listen", default.listen),
            data_dir: section.get("data_dir", default.data_dir),
            drain_grace: section.get("drain_grace", default.drain_grace),
            tls_cert: section.get("tls_cert", default.tls_cert),
            tls_key: section.get("tls_key", default.tls_key),
        }
    }
}
