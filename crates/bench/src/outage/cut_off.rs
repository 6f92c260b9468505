//! A provider whose connections are reset, before the answer and in the middle of it.

use std::path::Path;

use raincheck_engine::{Clock, SystemClock};
use serde_json::json;

use super::Lengths;
use super::ends::Ends;
use super::stage::Stage;
use super::traffic;
use crate::failure::Fallible;
use crate::report::Report;

/// How many connections are reset.
const RATE: f64 = 0.3;

pub(super) async fn drill(scratch: &Path, lengths: Lengths, report: &mut Report) -> Fallible<()> {
    for (kind, told) in [("reset_before", "before the answer"), ("reset_mid", "in the middle of it")] {
        let stage = Stage::start(scratch, &json!({}), "").await?;
        traffic::run(&stage, "reset, before", lengths.before / 2, None).await?;
        let (begun, calls) = (SystemClock.now(), stage.standing().await?.calls);
        stage.fault(&json!({ "kind": kind }), RATE).await?;
        let meanwhile = traffic::run(&stage, &format!("reset {told}"), lengths.wrong, None).await?;
        stage.heal().await?;
        let healed = SystemClock.now();
        let ends = Ends::read(&stage).await?;
        let calls = stage.standing().await?.calls - calls;
        let accepted = meanwhile.accepts.good;
        let normal = ends.normal_after(healed, ends.usual(begun));
        ends.row(&format!("reset of three in ten, {told}"), report);
        #[expect(clippy::cast_precision_loss, reason = "nobody counts 2^52 calls")]
        let each = calls as f64 / accepted as f64;
        let most = ends.failures().1;
        let measured = format!(
            "{calls} for {accepted} jobs: {each:.2} each, at most {most} failures of one; the last late job {:.1} s after it",
            normal.as_secs_f64()
        );
        report.row(format!("reset, {told}: calls"), measured, "1.43 each is what it takes");
        report.data(kind, json!({ "calls": calls, "accepted": accepted, "each": each }));
    }
    Ok(())
}
