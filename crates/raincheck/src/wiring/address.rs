use std::io;
use std::net::SocketAddr;

use raincheck_core::Time;
use raincheck_store::{Store, StoreError};
use tokio::net::{TcpListener, TcpSocket};

/// How many connections may wait to be accepted (the kernel's `somaxconn` permitting). With the usual 128 some of a
/// thousand clients that come at once are kept waiting for a second or more: the kernel passes over what does not fit.
const BACKLOG: u32 = 4_096;

/// Who may be served at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nobody but this machine reaches it, and there is no key: everybody.
    Everybody,
    /// Who has a key.
    Keyed,
    /// Nobody: others reach it, and there is no key that is good.
    Nobody,
}

/// Who can reach a server can run jobs on it: without a key that must be nobody but this machine.
///
/// # Errors
/// If the store cannot be read.
pub async fn access(address: SocketAddr, store: &dyn Store, now: Time) -> Result<Access, StoreError> {
    let keys = store.keys().await?;
    if address.ip().is_loopback() {
        return Ok(if keys.is_empty() { Access::Everybody } else { Access::Keyed });
    }
    let is_good = keys.iter().any(|key| key.expires_at.is_none_or(|expires_at| expires_at > now));
    Ok(if is_good { Access::Keyed } else { Access::Nobody })
}

/// Takes the address, so that nobody else can; nobody can connect yet.
///
/// # Errors
/// If it is taken, or not ours to listen on.
pub fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of an earlier life that are still being taken down do not hold the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Lets clients connect.
///
/// # Errors
/// If somebody else began to listen there at the same moment.
pub fn listen(socket: TcpSocket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG)
}
