use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::Place;

/// A certificate for this machine by an authority of one's own, as files.
pub(crate) struct Authority {
    /// The authority's certificate, which clients trust.
    pub(crate) authority: PathBuf,
    /// The server's certificate.
    pub(crate) certificate: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new(place: &Place) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Raincheck's tests");
        let own_key = KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(params, own_key).expect("a certificate");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["localhost".into(), "127.0.0.1".into()]).expect("plain names");
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &authority).expect("a certificate");
        Self {
            authority: place.file("ca.pem", &authority.pem()),
            certificate: place.file("cert.pem", &certificate.pem()),
            key: place.file("key.pem", &key.serialize_pem()),
        }
    }

    /// What the server is started with to speak TLS.
    pub(crate) fn flags(&self) -> [&str; 4] {
        ["--tls-cert", path(&self.certificate), "--tls-key", path(&self.key)]
    }
}

fn path(path: &std::path::Path) -> &str {
    path.to_str().expect("a plain path")
}
