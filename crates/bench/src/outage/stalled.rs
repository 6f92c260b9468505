//! A provider whose streams stop in the middle, on connections that stay open.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::Lengths;
use super::ends::Ends;
use super::stage::Stage;
use super::traffic;
use crate::failure::Fallible;
use crate::proc;
use crate::report::Report;

/// Where the sockets are counted again: no connection is kept longer without use.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

pub(super) async fn drill(scratch: &Path, lengths: Lengths, report: &mut Report) -> Fallible<()> {
    let stage = Stage::start(scratch, &json!({}), "gap_timeout = \"5s\"").await?;
    let before = traffic::run(&stage, "stall, before", lengths.before, None).await?;
    let (calls, sockets) = (stage.standing().await?.calls, proc::open_files(stage.server.pid())?);
    stage.fault(&json!({ "kind": "stall" }), 0.2).await?;
    let meanwhile = traffic::run(&stage, "stall, a fifth of the streams", lengths.wrong, None).await?;
    let most = proc::open_files(stage.server.pid())?;
    stage.heal().await?;
    let ends = Ends::read(&stage).await?;
    tokio::time::sleep(SETTLED_AFTER).await;
    let left = proc::open_files(stage.server.pid())?;
    let (ledger, calls) = (stage.ledger().await?, stage.standing().await?.calls - calls);
    let (stalled, failures) = ends.failures();
    let accepted = meanwhile.accepts.good;
    ends.row("stall", report);
    let told = format!("{calls} calls for {accepted} jobs; {stalled} jobs met one, one of them {failures}");
    report.row("stall: a fifth of the streams stop for good; found after a gap of 5 s", told, "");
    let told = format!(
        "{sockets} before, {most} at the end of it, {left} after; calls open at the provider: {}",
        ledger["under_way"]
    );
    report.row("stall: files and sockets of the server", told, "none is left open");
    report.row("stall: API's p99 before", before.told(), "");
    report.row("stall: API's p99 meanwhile", meanwhile.told(), "as before");
    report.data("stall", json!({ "calls": calls, "accepted": accepted, "sockets": [sockets, most, left] }));
    Ok(())
}
