use std::io::{IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Server;
use super::works::Works;
use crate::config::StoreKind;
use crate::console::{Console, Paint};

/// Says that the server is ready: to a person what it is and what to try, to a program the address on the first line of
/// standard output.
pub(crate) fn say(server: &Server, console: Console) {
    let Server { loaded, opened, works: Works { engine, .. }, address, .. } = server;
    let scheme = scheme(server);
    let kinds: Vec<&str> = engine.registry().kinds().map(|about| about.kind.as_str()).collect();
    let mut out = std::io::stdout().lock();
    let to_a_person = out.is_terminal();
    let said = if to_a_person {
        writeln!(out, "{}", banner(server, &kinds, console.out))
    } else {
        writeln!(out, "listening on {scheme}://{address}")
    };
    // Who closed standard output does not want to hear it; the log says it as well.
    let _ = said.and_then(|()| out.flush());
    if to_a_person && console.live {
        return;
    }
    tracing::info!(
        %address,
        scheme,
        data_dir = %opened.directory.display(),
        store = store_name(loaded.config.store.kind),
        kinds = kinds.join(" "),
        config = loaded.file.as_ref().map(|file| file.display().to_string()),
        "listening"
    );
}

fn store_name(kind: StoreKind) -> &'static str {
    match kind {
        StoreKind::Sqlite => "sqlite",
        StoreKind::Memory => "memory",
    }
}

fn banner(server: &Server, kinds: &[&str], paint: Paint) -> String {
    let Server { loaded, opened, address, .. } = server;
    let url = format!("{}://{}", scheme(server), reachable(*address));
    let kept = match loaded.config.store.kind {
        StoreKind::Sqlite => opened.directory.display().to_string(),
        StoreKind::Memory => paint.yellow("in memory: nothing survives this process"),
    };
    let access = match (address.ip().is_loopback(), server.keyless) {
        (true, true) => "for this machine only, without a key",
        (true, false) => "for this machine only, with an API key",
        (false, _) => "for everybody who reaches it, with an API key",
    };
    let config = loaded.file.as_ref().map_or("no file".to_owned(), |file| file.display().to_string());
    let key = if server.keyless { "" } else { " -H \"Authorization: Bearer $RAINCHECK_API_KEY\"" };
    let row = |name: &str, value: &str| format!("  {} {value}", paint.dim(&format!("{name:<9}")));
    let rows = [
        String::new(),
        format!("  {}  {}", paint.bold("Raincheck"), env!("CARGO_PKG_VERSION")),
        String::new(),
        row("address", &format!("{}  {}", paint.cyan(&url), paint.dim(access))),
        row("data", &kept),
        row("config", &config),
        row("kinds", &kinds.join("  ")),
        String::new(),
        format!("  {}", paint.dim("Try, in another terminal:")),
        format!(
            "    curl {url}/v1/jobs{key} -H 'Content-Type: application/json' \\\n         -d '{{\"kind\": \"sleep\", \
             \"input\": {{\"seconds\": 5}}}}'"
        ),
        format!("    raincheck submit sleep --input '{{\"seconds\": 5}}' --follow{}", server_flag(&url)),
        String::new(),
    ];
    rows.join("\n")
}

/// What a client on this machine connects to.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn scheme(server: &Server) -> &'static str {
    if server.tls.is_some() { "https" } else { "http" }
}

/// The client finds the server by itself where it listens by default.
fn server_flag(url: &str) -> String {
    if url == crate::client::SERVER_DEFAULT { String::new() } else { format!(" --server {url}") }
}
