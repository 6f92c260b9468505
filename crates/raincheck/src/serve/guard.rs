use std::net::SocketAddr;

use raincheck::wiring::{Access, Kept, access};
use raincheck_core::Time;

use crate::exit::{Exit, Failure};

/// Who can reach the server can run jobs on it: without a key that must be nobody but this machine. Gives whether it is
/// to be served without keys.
///
/// # Errors
/// If others could reach the address and there is no key.
pub(crate) async fn check(address: SocketAddr, kept: &Kept, now: Time) -> Result<bool, Failure> {
    let access = access(address, &*kept.store, now).await;
    match access.map_err(|error| Failure::new(Exit::StoreFailed, error.to_string()))? {
        Access::Everybody => return Ok(true),
        Access::Keyed => return Ok(false),
        Access::Nobody => {}
    }
    let message = format!("refusing to listen on {address} without an API key: anybody who reaches it could run jobs");
    let hint = if kept.is_durable() {
        let directory = kept.directory.display();
        format!("make a key first: raincheck key create --scope submit,read --data-dir {directory}")
    } else {
        "the memory store has no keys: listen on 127.0.0.1, or use --store sqlite".to_owned()
    };
    Err(Failure::new(Exit::Unsafe, message).hint(hint))
}
