use std::path::Path;

use raincheck_api::{Tls, TlsError};

use crate::config::Server;
use crate::exit::{Exit, Failure};

/// What the server proves itself with; `None` if it is to speak plain HTTP.
///
/// # Errors
/// If only one of the two is given, or one cannot be read or is not what it should be.
pub(crate) fn load(server: &Server) -> Result<Option<Tls>, Failure> {
    let (certificate, key) = match (&server.tls_cert, &server.tls_key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(_), None) => return Err(missing("tls_key", "tls_cert")),
        (None, Some(_)) => return Err(missing("tls_cert", "tls_key")),
    };
    let tls = Tls::from_pem(&read(certificate)?, &read(key)?);
    tls.map(Some).map_err(|error| {
        let file = if matches!(error, TlsError::Certificates(_)) { certificate } else { key };
        Failure::new(Exit::Usage, format!("{}: {error}", file.display()))
    })
}

fn missing(what: &str, given: &str) -> Failure {
    let message = format!("server.{given} is set, but not server.{what}: TLS needs both a certificate and its key");
    Failure::new(Exit::Usage, message)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::new(Exit::Usage, format!("{} cannot be read: {error}", path.display())))
}
