//! A minute in which the provider answers 503 to everything, and what follows.

use std::path::Path;
use std::time::Duration;

use raincheck_engine::{Clock, SystemClock};
use serde_json::json;

use super::Lengths;
use super::ends::Ends;
use super::stage::Stage;
use super::traffic;
use crate::failure::Fallible;
use crate::report::Report;

/// Until when everything has to be as before.
const NORMAL_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn drill(scratch: &Path, lengths: Lengths, report: &mut Report) -> Fallible<()> {
    let stage = Stage::start(scratch, &json!({}), "").await?;
    let before = traffic::run(&stage, "503, before", lengths.before, None).await?;
    let (down, calls) = (SystemClock.now(), stage.standing().await?.calls);
    stage.fault(&json!({ "kind": "unavailable" }), 1.0).await?;
    let meanwhile = traffic::run(&stage, "503, down", lengths.wrong, None).await?;
    let calls = stage.standing().await?.calls - calls;
    stage.heal().await?;
    let healed = SystemClock.now();
    let after = traffic::run(&stage, "503, healed", NORMAL_WITHIN, None).await?;
    let ends = Ends::read(&stage).await?;
    let (usual, accepted) = (ends.usual(down), meanwhile.accepts.good);
    let normal = ends.normal_after(healed, usual);
    let (failed, most) = ends.failures();
    ends.row("503", report);
    #[expect(clippy::cast_precision_loss, reason = "nobody counts 2^52 calls")]
    let each = calls as f64 / accepted as f64;
    let told = format!("{calls} for {accepted} jobs accepted: {each:.3} each");
    report.row("503: calls that the provider got while it was down", told, "≤ 1.2 each");
    let told = format!("{failed} jobs had failures counted against them, at most {most} of 10");
    report.row("503: what it cost", told, "");
    let told = format!("after {:.1} s (a job usually takes {:.2} s)", normal.as_secs_f64(), usual.as_secs_f64());
    report.row("503: every job again done within twice the usual time", told, "< 60 s");
    report.row("503: API's p99 before", before.told(), "");
    report.row("503: API's p99 while it was down", meanwhile.told(), "as before");
    report.row("503: API's p99 while the backlog was worked off", after.told(), "");
    report.data("503", json!({ "calls": calls, "accepted": accepted, "normal_after_s": normal.as_secs_f64() }));
    Ok(())
}
