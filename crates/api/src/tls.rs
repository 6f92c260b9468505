use std::fmt;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What is spoken inside TLS, the preferred first, by the names of ALPN (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [HTTP_2, b"http/1.1"];
/// HTTP/2 by its name in ALPN.
pub(crate) const HTTP_2: &[u8] = b"h2";

/// What a server proves itself with: its certificates and their key. TLS 1.2 and 1.3 are spoken.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

/// Why text is no certificate or no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// What should be certificates is none.
    #[error("expected certificates in PEM (-----BEGIN CERTIFICATE-----), the server's own first: {0}")]
    Certificates(String),
    /// What should be a private key is none.
    #[error("expected a private key in PEM (-----BEGIN PRIVATE KEY-----), not encrypted: {0}")]
    Key(String),
    /// Key and certificate are good, but not for each other.
    #[error("the private key does not belong to the certificate: {0}")]
    Pair(String),
}

impl Tls {
    /// Certificates, the server's own first and then those that lead to its authority, and the key of the first; both as
    /// PEM.
    ///
    /// # Errors
    /// Which of them is not what it should be.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
        let chain = chain.map_err(|error| TlsError::Certificates(error.to_string()))?;
        if chain.is_empty() {
            return Err(TlsError::Certificates("there is none".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Key(error.to_string()))?;
        let provider = Arc::new(ring::default_provider());
        let usable = provider.key_provider.load_private_key(key.clone_key());
        usable.map_err(|error| TlsError::Key(error.to_string()))?;
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = builder.and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(|error| TlsError::Pair(error.to_string()))?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Self(Arc::new(config)))
    }

    /// What does the handshakes.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0))
    }
}

impl fmt::Debug for Tls {
    /// Says nothing of the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
