//! `raincheck upstreams`: where the server calls, and what of it is let through.

use raincheck_core::Time;
use raincheck_engine::{Clock, SystemClock};
use serde::Deserialize;

use crate::client::{Ask, Client};
use crate::console::{Console, Paint};
use crate::exit::{Exit, Failure};
use crate::show::relative;
use crate::show::table::{self, Cell};

/// Shows the upstreams: which are called, which are full, shut or failing, and until when
///
/// Needs a key of scope admin, where the server asks for keys. The columns are explained in docs/operations.md.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this one
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// The columns that are left out where the terminal is too narrow, the first ones first.
const SPARE: &[&str] = &["PROTOCOL", "TOKENS", "REQUESTS", "HOST", "LAST FAILURE", "CALLS", "STATE"];

/// The upstreams as the server tells them.
#[derive(Deserialize)]
struct Reply {
    upstreams: Vec<Upstream>,
}

#[derive(Deserialize)]
struct Upstream {
    upstream: String,
    protocol: String,
    host: String,
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    model: String,
    state: String,
    calls: Calls,
    requests: Option<Used>,
    tokens: Option<Used>,
    breaker: String,
    probe_at: Option<Time>,
    shut_until: Option<Time>,
    shut_by: Option<u16>,
    last_failure: Option<LastFailure>,
}

#[derive(Deserialize)]
struct Calls {
    under_way: usize,
    limit: usize,
}

#[derive(Deserialize)]
struct Used {
    used: u64,
    limit: u64,
}

#[derive(Deserialize)]
struct LastFailure {
    detail: String,
    upstream_status: Option<u16>,
    at: Time,
}

/// Shows them.
///
/// # Errors
/// If the server refuses, or has no upstream of this name.
pub(crate) async fn run(args: &Args, client: &Client, console: Console) -> Result<Exit, Failure> {
    let answer = client.call(Ask::get("/v1/upstreams".to_owned())).await?;
    let mut reply: Reply = answer.parse()?;
    if let Some(name) = &args.name {
        reply.upstreams.retain(|upstream| upstream.upstream == *name);
        if reply.upstreams.is_empty() {
            let message = format!("there is no upstream {name:?}");
            return Err(Failure::new(Exit::Failed, message).hint("`raincheck upstreams` lists them"));
        }
    }
    if console.json {
        console.print(&only(&answer.text(), args.name.as_deref()))?;
    } else if reply.upstreams.is_empty() {
        console.say("no upstreams: docs/upstreams.md tells how they are configured");
    } else {
        let (page, left_out) = page(&reply.upstreams, SystemClock.now(), console.width(), console.out);
        console.print(&page)?;
        if !left_out.is_empty() {
            let names = left_out.join(", ").to_lowercase();
            console.say(&console.err.dim(&format!("left out: {names} (--json shows all)")));
        }
    }
    Ok(Exit::Success)
}

/// The answer as it came, with only the upstream that was asked for.
fn only(text: &str, name: Option<&str>) -> String {
    let Some(name) = name else { return text.to_owned() };
    let Ok(mut answer) = serde_json::from_str::<serde_json::Value>(text) else { return text.to_owned() };
    if let Some(upstreams) = answer["upstreams"].as_array_mut() {
        upstreams.retain(|upstream| upstream["upstream"] == name);
    }
    answer.to_string()
}

/// The table, and the columns for which there was no room.
fn page(upstreams: &[Upstream], now: Time, width: Option<usize>, paint: Paint) -> (String, Vec<&'static str>) {
    let mut rows: Vec<Vec<Cell>> = upstreams.iter().flat_map(|upstream| rows(upstream, now)).collect();
    let mut names =
        vec!["UPSTREAM", "PROTOCOL", "HOST", "MODEL", "STATE", "CALLS", "REQUESTS", "TOKENS", "LAST FAILURE"];
    // Where nothing is limited by the minute there is nothing to say of it.
    let limited = |of: fn(&Model) -> bool| upstreams.iter().flat_map(|upstream| &upstream.models).any(of);
    let said =
        [("REQUESTS", limited(|model| model.requests.is_some())), ("TOKENS", limited(|model| model.tokens.is_some()))];
    for (name, _) in said.into_iter().filter(|(_, is_said)| !is_said) {
        if let Some(column) = names.iter().position(|known| *known == name) {
            names.remove(column);
            rows.iter_mut().for_each(|row| drop(row.remove(column)));
        }
    }
    let left_out = width.map(|width| table::fit(&mut names, &mut rows, width, SPARE)).unwrap_or_default();
    (table::columns(&names, rows, paint), left_out)
}

/// A row for each model; one for an upstream that was not called yet.
fn rows(upstream: &Upstream, now: Time) -> Vec<Vec<Cell>> {
    let whose = || -> Vec<Cell> {
        let name = Cell::painted(upstream.upstream.clone(), Paint::bold);
        vec![name, upstream.protocol.clone().into(), upstream.host.clone().into()]
    };
    let row = |cells: [Cell; 6]| whose().into_iter().chain(cells).collect();
    if upstream.models.is_empty() {
        let cells = ["", "not called yet", "", "", "", ""].map(|text| Cell::painted(text, Paint::dim));
        return vec![row(cells)];
    }
    let of = |model: &Model| {
        row([
            model.model.clone().into(),
            model.state(now),
            format!("{}/{}", model.calls.under_way, model.calls.limit).into(),
            used(model.requests.as_ref()).into(),
            used(model.tokens.as_ref()).into(),
            Cell::painted(model.failure(now), Paint::dim),
        ])
    };
    upstream.models.iter().map(of).collect()
}

fn used(used: Option<&Used>) -> String {
    used.map(|used| format!("{}/{}", used.used, used.limit)).unwrap_or_default()
}

impl Model {
    /// Whether it takes calls, and when it will if not.
    fn state(&self, now: Time) -> Cell {
        let when = |time: Option<Time>| time.map(|time| relative(time, now)).unwrap_or_default();
        match self.state.as_str() {
            "failing" if self.breaker == "open" => {
                Cell::painted(format!("failing, tried {}", when(self.probe_at)), Paint::red)
            }
            "failing" => Cell::painted("failing, being tried", Paint::red),
            "shut" => {
                let by = self.shut_by.map(|status| format!(" ({status})")).unwrap_or_default();
                Cell::painted(format!("shut{by}, opens {}", when(self.shut_until)), Paint::yellow)
            }
            "open" => Cell::painted("open", Paint::green),
            other => Cell::painted(other, Paint::yellow),
        }
    }

    fn failure(&self, now: Time) -> String {
        let Some(LastFailure { detail, upstream_status, at }) = &self.last_failure else { return String::new() };
        let status = upstream_status.map(|status| format!("{status}, ")).unwrap_or_default();
        format!("{}: {status}{detail}", relative(*at, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_has_a_row_that_says_what_is_ahead() {
        let reply: Reply = serde_json::from_str(
            r#"{"upstreams": [
                {"upstream": "backend", "protocol": "http", "host": "reports.internal:8080", "models": []},
                {"upstream": "openai", "protocol": "openai", "host": "api.openai.com", "models": [
                    {"model": "gpt-5", "state": "open", "calls": {"under_way": 3, "limit": 8}, "breaker": "closed",
                     "requests": {"used": 120, "limit": 500}, "tokens": {"used": 90000, "limit": 100000}},
                    {"model": "gpt-5-mini", "state": "failing", "calls": {"under_way": 0, "limit": 1},
                     "breaker": "open", "probe_at": "2026-11-24T12:00:04Z", "last_failure":
                     {"type": "x", "detail": "it failed", "upstream_status": 503, "at": "2026-11-24T11:59:57Z"}},
                    {"model": "o5", "state": "shut", "calls": {"under_way": 0, "limit": 4}, "breaker": "closed",
                     "shut_until": "2026-11-24T12:00:30Z", "shut_by": 429}
                ]}
            ]}"#,
        )
        .unwrap();
        let now: Time = serde_json::from_str("\"2026-11-24T12:00:00Z\"").unwrap();
        insta::assert_snapshot!(page(&reply.upstreams, now, None, Paint(false)).0);
        let unlimited = &reply.upstreams[..1];
        assert!(!page(unlimited, now, None, Paint(false)).0.contains("TOKENS"));
        let (narrow, left_out) = page(&reply.upstreams, now, Some(60), Paint(false));
        assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");
        assert_eq!(left_out[..2], ["PROTOCOL", "TOKENS"]);
    }
}
