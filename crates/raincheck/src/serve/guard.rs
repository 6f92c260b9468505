use std::net::SocketAddr;

use raincheck_core::Time;

use super::store::Opened;
use crate::config::StoreKind;
use crate::exit::{Exit, Failure};

/// Who can reach the server can run jobs on it: without a key that must be nobody but this machine. Gives whether it is
/// to be served without keys.
///
/// # Errors
/// If others could reach the address and there is no key.
pub(crate) async fn check(address: SocketAddr, opened: &Opened, now: Time) -> Result<bool, Failure> {
    let keys = opened.store.keys().await.map_err(|error| Failure::new(Exit::StoreFailed, error.to_string()))?;
    if address.ip().is_loopback() {
        return Ok(keys.is_empty());
    }
    if keys.iter().any(|key| key.expires_at.is_none_or(|expires_at| expires_at > now)) {
        return Ok(false);
    }
    let message = format!("refusing to listen on {address} without an API key: anybody who reaches it could run jobs");
    let hint = match opened.kind {
        StoreKind::Memory => "the memory store has no keys: listen on 127.0.0.1, or use --store sqlite".to_owned(),
        StoreKind::Sqlite => format!(
            "make a key first: raincheck key create --scope submit,read --data-dir {}",
            opened.directory.display()
        ),
    };
    Err(Failure::new(Exit::Unsafe, message).hint(hint))
}
