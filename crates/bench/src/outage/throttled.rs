//! A provider that says that it is too much: by a limit that the server does not know, and in storms.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::Lengths;
use super::ends::Ends;
use super::stage::Stage;
use super::traffic;
use crate::failure::Fallible;
use crate::report::Report;

/// What the provider allows in a minute: half of what is asked.
const LIMIT: u32 = 600;
/// When it wishes to be called again.
const COME_BACK_MS: u64 = 4_000;
/// What was sent before the refusal was heard arrives within this.
const ON_ITS_WAY_MS: u64 = 50;
/// A job that is charged for being told to wait fails.
const ONE: Option<u32> = Some(1);

pub(super) async fn drill(scratch: &Path, lengths: Lengths, report: &mut Report) -> Fallible<()> {
    announced(scratch, lengths, report).await?;
    for (form, told) in [("seconds", "with Retry-After"), ("none", "without")] {
        let storm = json!({ "kind": "rate_limited", "retry_after": form, "wait_ms": COME_BACK_MS });
        storms(scratch, lengths, &storm, told, report).await?;
    }
    Ok(())
}

async fn announced(scratch: &Path, lengths: Lengths, report: &mut Report) -> Fallible<()> {
    let stage = Stage::start(scratch, &json!({ "limits": { "requests": LIMIT } }), "").await?;
    traffic::run(&stage, "429, a limit announced", lengths.wrong, ONE).await?;
    let ends = Ends::read(&stage).await?;
    let refused = stage.standing().await?.refused;
    let minutes = ends.length().as_secs_f64() / 60.0;
    #[expect(clippy::cast_precision_loss, reason = "nobody counts 2^52 jobs")]
    let rate = ends.count() as f64 / minutes;
    ends.row("429, a limit that headers announce", report);
    let told = format!("{refused} of {} calls refused", ends.count() as u64 + refused);
    report.row(format!("429: {LIMIT} a minute allowed, 1,200 asked for, none configured"), told, "none");
    let told = format!("{rate:.0} a minute over {minutes:.1} minutes");
    report.row("429: and so many were made", told, "");
    report.data("429", json!({ "refused": refused, "per_minute": rate }));
    Ok(())
}

async fn storms(scratch: &Path, lengths: Lengths, storm: &Value, form: &str, report: &mut Report) -> Fallible<()> {
    let stage = Stage::start(scratch, &json!({}), "").await?;
    traffic::run(&stage, "429, before the storm", lengths.before / 2, ONE).await?;
    stage.fault(storm, 0.5).await?;
    traffic::run(&stage, &format!("429, a storm {form}"), lengths.wrong, ONE).await?;
    stage.heal().await?;
    let ends = Ends::read(&stage).await?;
    let (requests, standing) = (stage.requests().await?, stage.standing().await?);
    ends.row(&format!("429 to half of the calls, {form}"), report);
    let told = format!("{} of {}", standing.refused, standing.calls);
    report.row(format!("429 to half of the calls, {form}: refused"), told, "");
    if form.starts_with("with ") {
        let early = early(&requests);
        report.row("429: calls that came before they should", early.to_string(), "none");
    }
    Ok(())
}

/// How many calls came before they were wished for, but for those that were on their way.
fn early(requests: &[(u64, u64)]) -> usize {
    let wait = Duration::from_millis(COME_BACK_MS).as_millis();
    let told = requests.iter().filter(|(_, status)| *status == 429).map(|(at, _)| *at);
    let too_early = |at: u64| {
        let after = |other: u64| u128::from(other.saturating_sub(at));
        let is_early = |other: u64| after(other) > u128::from(ON_ITS_WAY_MS) && after(other) < wait;
        requests.iter().filter(|(other, _)| is_early(*other)).count()
    };
    told.map(too_early).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_the_time_that_was_named_is_early() {
        let requests = [(1_000, 429), (1_010, 429), (1_040, 200), (2_000, 200), (5_100, 200)];
        assert_eq!(early(&requests), 2, "the one after two seconds, for each of the refusals");
        assert_eq!(early(&[(0, 200), (1, 200)]), 0);
    }
}
