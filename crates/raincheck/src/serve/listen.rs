use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::exit::{Exit, Failure};

/// Listens on the address.
///
/// # Errors
/// If it is taken, or not ours to listen on.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let failure = Failure::new(Exit::Address, format!("cannot listen on {address}: {}", reason(&error)));
        match error.kind() {
            ErrorKind::AddrInUse => failure.hint(format!(
                "is another raincheck running? see who listens there with `ss -ltnp 'sport = :{port}'`, or take another \
                 port with --listen {ip}:0",
                port = address.port(),
                ip = address.ip()
            )),
            ErrorKind::PermissionDenied => failure.hint("ports below 1024 are for root; take a higher one"),
            ErrorKind::AddrNotAvailable => failure.hint("no network interface of this machine has that address"),
            _ => failure,
        }
    })
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => "the port is in use".into(),
        ErrorKind::PermissionDenied => "not permitted".into(),
        ErrorKind::AddrNotAvailable => "this machine does not have the address".into(),
        _ => error.to_string(),
    }
}
