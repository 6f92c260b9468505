//! TLS on a real socket.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use raincheck_api::{ApiSettings, Tls, TlsError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::listening::{Listening, PATIENCE, SHORT, listen, rest};

/// An authority, and a certificate of it for localhost.
struct Proof {
    authority: CertifiedIssuer<'static, KeyPair>,
    certificate: String,
    key: String,
}

fn proof() -> Proof {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, &authority).unwrap();
    Proof { authority, certificate: certificate.pem(), key: key.serialize_pem() }
}

async fn listen_with(proof: &Proof, settings: ApiSettings) -> Listening {
    let tls = Tls::from_pem(proof.certificate.as_bytes(), proof.key.as_bytes()).unwrap();
    listen(ApiSettings { tls: Some(tls), ..settings }).await
}

async fn connect(listening: &Listening, proof: &Proof, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(proof.authority.der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let mut config =
        builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, listening.connect().await).await.unwrap()
}

#[tokio::test]
async fn http_1_is_spoken_within_tls() {
    let proof = proof();
    let listening = listen_with(&proof, ApiSettings::default()).await;
    for protocols in [vec![], vec![&b"http/1.1"[..]]] {
        let mut stream = connect(&listening, &proof, &protocols).await;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    }
}

#[tokio::test]
async fn http_2_is_spoken_to_who_prefers_it() {
    let proof = proof();
    let listening = listen_with(&proof, ApiSettings::default()).await;
    let stream = connect(&listening, &proof, &[b"h2", b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Body>(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "ends with the test")]
    drop(tokio::spawn(connection));
    let request = Request::get("https://localhost/healthz").body(Body::empty()).unwrap();
    let reply = sender.send_request(request).await.unwrap();
    assert_eq!((reply.status(), reply.version()), (StatusCode::OK, Version::HTTP_2));
}

#[tokio::test]
async fn who_speaks_no_tls_is_told_in_plain_http() {
    let listening = listen_with(&proof(), ApiSettings::default()).await;
    let reply = listening.talk(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 400") && reply.contains("https://"), "{reply}");
}

#[tokio::test]
async fn a_handshake_that_is_not_ended_is_given_up() {
    let proof = proof();
    let listening = listen_with(&proof, ApiSettings { header_timeout: SHORT, ..ApiSettings::default() }).await;
    for beginning in [&b""[..], &[0x16], &[0x16, 3, 1, 2, 0, 1]] {
        let mut stream = listening.connect().await;
        stream.write_all(beginning).await.unwrap();
        assert_eq!(rest(&mut stream).await, "", "{beginning:?}");
    }
    // And so is one after which nothing is said.
    for protocols in [vec![], vec![&b"h2"[..]]] {
        let mut stream = connect(&listening, &proof, &protocols).await;
        let silent = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
        assert!(silent.is_ok(), "it was not closed");
    }
}

#[test]
fn what_is_no_certificate_or_key_is_told() {
    let (one, other) = (proof(), proof());
    let error = |certificate: &str, key: &str| Tls::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err();
    assert!(matches!(error("", &one.key), TlsError::Certificates(_)));
    assert!(matches!(error(&one.key, &one.key), TlsError::Certificates(_)));
    assert!(matches!(error(&one.certificate, &one.certificate), TlsError::Key(_)));
    assert!(matches!(error(&one.certificate, ""), TlsError::Key(_)));
    assert!(matches!(error(&one.certificate, &other.key), TlsError::Pair(_)));
    let debug = format!("{:?}", Tls::from_pem(one.certificate.as_bytes(), one.key.as_bytes()).unwrap());
    assert_eq!(debug, "Tls");
}
