use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

use super::network::{Network, is_public};

/// Looks up names and gives only addresses that may be called: the connection is made to one of those, so a name that is
/// resolved differently a moment later gains nothing.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    reach: Reach,
    allow: Arc<[Network]>,
}

/// Where connections may be made to besides allowed networks.
#[derive(Clone, Debug)]
pub(crate) enum Reach {
    /// Nowhere.
    Allowed,
    /// Public addresses.
    Public,
    /// Public addresses, and wherever this name leads, which the operator gave.
    PublicAnd(Arc<str>),
}

impl Resolver {
    pub(super) fn new(reach: Reach, allow: Vec<Network>) -> Self {
        Self { reach, allow: allow.into() }
    }

    /// Whoever chose the name is not told whether there is such a one within this network; the operator is.
    fn failed(&self, error: io::Error) -> io::Error {
        if matches!(self.reach, Reach::PublicAnd(_)) { error } else { nowhere() }
    }

    fn may_call(&self, name: &str, address: SocketAddr) -> bool {
        let is_in_reach = match &self.reach {
            Reach::Allowed => false,
            Reach::Public => is_public(address.ip()),
            Reach::PublicAnd(trusted) => **trusted == *name || is_public(address.ip()),
        };
        is_in_reach || self.allow.iter().any(|network| network.contains(address.ip()))
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found: Vec<SocketAddr> = found.map_err(|error| resolver.failed(error))?.collect();
            let allowed: Vec<SocketAddr> =
                found.into_iter().filter(|address| resolver.may_call(name.as_str(), *address)).collect();
            if allowed.is_empty() {
                return Err(nowhere());
            }
            Ok(allowed.into_iter())
        })
    }
}

fn nowhere() -> io::Error {
    let detail = "the name leads to no address that may be called; the operator may allow its network in [egress]";
    io::Error::new(io::ErrorKind::PermissionDenied, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_operators_own_host_may_be_anywhere() {
        let resolver = Resolver::new(Reach::PublicAnd("models.internal".into()), vec!["10.0.0.0/8".parse().unwrap()]);
        let may = |name: &str, address: &str| resolver.may_call(name, address.parse().unwrap());
        assert!(may("models.internal", "127.0.0.1:80") && may("other", "10.1.1.1:80") && may("other", "1.1.1.1:80"));
        assert!(!may("other", "127.0.0.1:80") && !may("other", "169.254.169.254:80"));
        let resolver = Resolver::new(Reach::Allowed, vec!["10.0.0.0/8".parse().unwrap()]);
        let may = |address: &str| resolver.may_call("other", address.parse().unwrap());
        assert!(may("10.1.1.1:80") && !may("1.1.1.1:80") && !may("127.0.0.1:80"));
    }
}
