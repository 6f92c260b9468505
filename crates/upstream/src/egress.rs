//! The client that every outgoing connection is made with: it looks at each address before it connects.

mod network;
mod resolver;
mod strangers;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{Either, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use network::is_public;
pub use network::{BadNetwork, Network};
use resolver::{Reach, Resolver};
pub(crate) use strangers::Strangers;

/// A connection on which nothing is said is asked whether it is there after this, so often, and given up.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 3;
/// What was sent must be taken within this, or the machine at the other end is gone.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);

/// What is sent: there whole, or read while it is sent.
pub(crate) type Sent = Either<Full<Bytes>, UnsyncBoxBody<Bytes, std::io::Error>>;
pub(crate) type Http = Client<HttpsConnector<HttpConnector<Resolver>>, Sent>;

/// How connections that nobody uses are kept for the next call.
#[derive(Clone, Copy)]
pub(crate) struct Idle {
    /// How many to each host.
    pub(crate) max: usize,
    /// How long.
    pub(crate) time: Duration,
}

/// Where connections may go.
#[derive(Clone, Debug, Default)]
pub struct Egress {
    /// Networks that are not public and may be called all the same.
    pub allow: Vec<Network>,
}

impl Egress {
    /// A client that keeps idle connections like this. A host that the operator named may be anywhere; whatever else
    /// is resolved must be a public address or in an allowed network. Addresses that stand in a URL as such are resolved by
    /// nobody: they are to be looked at before.
    ///
    /// # Errors
    /// If the certificates of this machine cannot be read.
    pub(crate) fn client(&self, host: Option<&str>, connect: Duration, idle: Idle) -> std::io::Result<Http> {
        let reach = host.map_or(Reach::Public, |host| Reach::PublicAnd(host.into()));
        Self::connecting(Resolver::new(reach, self.allow.clone()), connect, idle)
    }

    /// A client that reaches allowed networks alone.
    ///
    /// # Errors
    /// If the certificates of this machine cannot be read.
    pub(crate) fn private(&self, connect: Duration, idle: Idle) -> std::io::Result<Http> {
        Self::connecting(Resolver::new(Reach::Allowed, self.allow.clone()), connect, idle)
    }

    fn connecting(resolver: Resolver, connect: Duration, idle: Idle) -> std::io::Result<Http> {
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(connect));
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE));
        tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX));
        let tls = HttpsConnectorBuilder::new().with_native_roots()?;
        let connector = tls.https_or_http().enable_http1().wrap_connector(tcp);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(idle.time).pool_max_idle_per_host(idle.max);
        Ok(builder.build(connector))
    }
}
