use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use hyper::Uri;
use hyper::http::uri::Scheme;

use super::{Egress, Http, Idle, is_public};

/// The ports below 1024 that are called: what listens at others is no HTTP server.
const LOW_PORTS: [u16; 2] = [80, 443];

/// The way to addresses that others than the operator chose: only ones that are public or in a network that the operator
/// allows; in plain HTTP only the latter.
pub(crate) struct Strangers {
    egress: Egress,
    connect: Duration,
    idle: Idle,
    /// Made when one is called for the first time: most servers call none.
    clients: OnceLock<Clients>,
}

struct Clients {
    /// For HTTPS.
    public: Http,
    /// For plain HTTP.
    private: Http,
}

impl Strangers {
    pub(crate) fn new(egress: Egress, connect: Duration, idle: Idle) -> Self {
        Self { egress, connect, idle, clients: OnceLock::new() }
    }

    /// What an address is, if it may be called. Where its host's name leads is looked at when it is called.
    ///
    /// # Errors
    /// Why it may not.
    pub(crate) fn address(&self, text: &str) -> Result<Uri, String> {
        let uri: Uri = text.parse().map_err(|error| format!("it is no address: {error}"))?;
        let is_plain = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => false,
            Some(scheme) if *scheme == Scheme::HTTP => true,
            _ => return Err("it should begin with https://".to_owned()),
        };
        let host = uri.host().unwrap_or_default();
        if host.is_empty() || uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err("it should name a host, and neither user nor password".to_owned());
        }
        if text.contains('#') {
            return Err("it should have no fragment (`#`), which no server is sent".to_owned());
        }
        if uri.port_u16().is_some_and(|port| port < 1024 && !LOW_PORTS.contains(&port)) {
            return Err("its port should be 80, 443 or from 1024".to_owned());
        }
        let allow = "the operator may allow its network in [egress]";
        if is_plain && self.egress.allow.is_empty() {
            return Err(format!("in plain HTTP only allowed networks are called: use https://, or {allow}"));
        }
        let in_brackets = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let literal = in_brackets.unwrap_or(host).parse::<IpAddr>();
        if in_brackets.is_some() && literal.is_err() {
            return Err("its host is no address".to_owned());
        }
        if literal.is_ok_and(|address| !self.may_call(address, is_plain)) {
            return Err(if is_plain {
                format!("in plain HTTP only allowed networks are called: use https://, or {allow}")
            } else {
                format!("its address is not public: {allow}")
            });
        }
        Ok(uri)
    }

    /// Whether a connection may be made to this address.
    fn may_call(&self, address: IpAddr, is_plain: bool) -> bool {
        self.egress.allow.iter().any(|network| network.contains(address)) || (!is_plain && is_public(address))
    }

    /// The client for an address.
    ///
    /// # Errors
    /// If the certificates of this machine cannot be read.
    pub(crate) fn client(&self, uri: &Uri) -> Result<&Http, String> {
        let clients = match self.clients.get() {
            Some(clients) => clients,
            None => {
                let made =
                    self.make().map_err(|error| format!("this machine's certificates cannot be read: {error}"))?;
                self.clients.get_or_init(|| made)
            }
        };
        Ok(if uri.scheme() == Some(&Scheme::HTTP) { &clients.private } else { &clients.public })
    }

    fn make(&self) -> std::io::Result<Clients> {
        let public = self.egress.client(None, self.connect, self.idle)?;
        Ok(Clients { public, private: self.egress.private(self.connect, self.idle)? })
    }
}
