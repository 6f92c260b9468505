use std::io::ErrorKind;
use std::net::SocketAddr;

use raincheck::wiring;
use tokio::net::{TcpListener, TcpSocket};

use crate::exit::{Exit, Failure};

/// Takes the address, so that nobody else can; nobody can connect yet.
///
/// # Errors
/// If it is taken, or not ours to listen on.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpSocket, Failure> {
    wiring::bind(address).map_err(|error| failure(address, &error))
}

/// Lets clients connect.
///
/// # Errors
/// If somebody else began to listen there at the same moment.
pub(crate) fn listen(socket: TcpSocket, address: SocketAddr) -> Result<TcpListener, Failure> {
    wiring::listen(socket).map_err(|error| failure(address, &error))
}

fn failure(address: SocketAddr, error: &std::io::Error) -> Failure {
    let failure = Failure::new(Exit::Address, format!("cannot listen on {address}: {}", reason(error)));
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
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => "the port is in use".into(),
        ErrorKind::PermissionDenied => "not permitted".into(),
        ErrorKind::AddrNotAvailable => "this machine does not have the address".into(),
        _ => error.to_string(),
    }
}
