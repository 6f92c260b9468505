use std::path::PathBuf;
use std::time::Duration;

use raincheck_recipes::Book;

use crate::{Doors, Links, Tls};

/// How the HTTP side behaves. The defaults are what an expert would choose.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// Whether requests without a key are served, as tenant `default` with every scope, for as long as the store holds
    /// no key at all. To be allowed only when the listener is bound to a loopback address.
    pub keyless: bool,
    /// The path under which a program serves the routes, such as `/jobs`: links begin with it. Empty if at the root.
    pub path: String,
    /// What the server proves itself with, if it speaks TLS; `None` for plain HTTP.
    pub tls: Option<Tls>,
    /// What the doors that speak other APIs' dialects lead to.
    pub doors: Doors,
    /// The recipes whose routes are served; `None` if there are none.
    pub recipes: Option<Book>,
    /// Makes links by which tenants' files are had without a key; `None` if there are none.
    pub links: Option<Links>,
    /// Where jobs leave files that are too large for a result, as `<job>/<name>`; `None` if none do.
    pub files: Option<PathBuf>,
    /// The largest input of one job, in bytes.
    pub input_bytes_max: usize,
    /// The largest request body, in bytes: a batch carries many inputs.
    pub body_bytes_max: usize,
    /// Bytes of request bodies held in memory at once, of all connections together; more is answered with 503.
    pub bodies_bytes_max: usize,
    /// Connections at once; more are answered with 503 and closed.
    pub connections_max: usize,
    /// How long the head of a request may take to arrive, and how long a connection may idle between requests; over HTTP/2
    /// up to twice as long. So long may the handshake of TLS take too.
    pub header_timeout: Duration,
    /// How long a body may take to arrive, on top of what its size takes at [`Self::body_rate_min`].
    pub body_timeout: Duration,
    /// The slowest that a body may arrive, in bytes per second.
    pub body_rate_min: u32,
    /// How long a client may take none of what it is sent before its connection is closed.
    pub write_timeout: Duration,
    /// How long a stream of events is silent before a comment is sent to show that it is alive.
    pub sse_heartbeat: Duration,
    /// The longest that `Prefer: wait` or `?wait` may hold a request.
    pub wait_max: Duration,
    /// The most jobs on a page of a list, or events on a page of a log.
    pub page_max: usize,
    /// The most jobs in a batch.
    pub batch_max: usize,
    /// How long requests may take to end once the server is told to stop.
    pub stop_grace: Duration,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            keyless: false,
            path: String::new(),
            tls: None,
            doors: Doors::default(),
            recipes: None,
            links: None,
            files: None,
            input_bytes_max: 1024 * 1024,
            body_bytes_max: 8 * 1024 * 1024,
            bodies_bytes_max: 128 * 1024 * 1024,
            connections_max: 32_768,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            body_rate_min: 1024,
            write_timeout: Duration::from_secs(60),
            sse_heartbeat: Duration::from_secs(15),
            wait_max: Duration::from_secs(60),
            page_max: 1_000,
            batch_max: 1_000,
            stop_grace: Duration::from_secs(10),
        }
    }
}
