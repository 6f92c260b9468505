use serde::Deserialize;
use serde_json::{Map, Value};

use super::table;
use crate::console::{Paint, harmless};

/// Values of a histogram that are shown.
const VALUES_MAX: usize = 6;

/// The part of `audio.scan`'s result that a person looks at first. What is missing is left out, so that a result of
/// another version is shown as far as it goes.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Summary {
    path: String,
    is_partial: bool,
    tier: String,
    files: u64,
    ok: u64,
    warnings: u64,
    errors: u64,
    issues: Map<String, Value>,
    hours: f64,
    bytes: u64,
    layout: Option<Layout>,
    speakers: Count,
    formats: Histogram,
    sample_rates: Histogram,
    channels: Histogram,
    duplicates: Count,
    audio_duplicates: Count,
    reused: u64,
    seconds: f64,
    files_per_second: f64,
    downloads: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Layout {
    level: String,
    recognised: u64,
    misplaced: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Count {
    count: u64,
    redundant: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Histogram {
    counts: Map<String, Value>,
    other: u64,
}

/// The summary as a table; `None` if it is none.
pub(crate) fn summary(value: &Value, paint: Paint) -> Option<String> {
    value.get("files")?.as_u64()?;
    let summary = Summary::deserialize(value).ok()?;
    let mut rows: Vec<(&str, String)> = Vec::new();
    let mut row = |name: &'static str, value: String| {
        if !value.is_empty() {
            rows.push((name, value));
        }
    };
    row("scanned", scanned(&summary, paint));
    row("files", files(&summary, paint));
    row("audio", format!("{:.2} hours, {}", summary.hours, bytes(summary.bytes)));
    row("speakers", if summary.speakers.count > 0 { grouped(summary.speakers.count) } else { String::new() });
    row("layout", summary.layout.as_ref().map(layout).unwrap_or_default());
    row("sample rates", histogram(&summary.sample_rates, |rate| format!("{rate} Hz")));
    row("channels", histogram(&summary.channels, channels));
    row("formats", histogram(&summary.formats, harmless));
    row("issues", issues(&summary.issues, paint));
    row("duplicates", duplicates(&summary));
    row("took", took(&summary));
    row("downloads", harmless(&summary.downloads.join("  ")));
    Some(table::pairs(&rows, paint))
}

fn scanned(summary: &Summary, paint: Paint) -> String {
    let partial = if summary.is_partial { paint.yellow("  ended early") } else { String::new() };
    format!("{}  ({}){partial}", harmless(&summary.path), harmless(&summary.tier))
}

fn files(summary: &Summary, paint: Paint) -> String {
    let colour = |count: u64, word: &str, paint_it: fn(Paint, &str) -> String| {
        let text = format!("{} {word}", grouped(count));
        if count > 0 { paint_it(paint, &text) } else { paint.dim(&text) }
    };
    let parts = [
        paint.bold(&grouped(summary.files)),
        colour(summary.ok, "ok", Paint::green),
        colour(summary.warnings, "with warnings", Paint::yellow),
        colour(summary.errors, "with errors", Paint::red),
    ];
    parts.join("   ")
}

fn layout(layout: &Layout) -> String {
    let misplaced =
        if layout.misplaced > 0 { format!(", {} misplaced", grouped(layout.misplaced)) } else { String::new() };
    format!("LibriTTS at {} level, {} files recognised{misplaced}", harmless(&layout.level), grouped(layout.recognised))
}

/// The most frequent values first.
fn by_count(counts: &Map<String, Value>) -> Vec<(&String, u64)> {
    let mut counts: Vec<(&String, u64)> = counts.iter().map(|(key, n)| (key, n.as_u64().unwrap_or(0))).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

fn histogram(histogram: &Histogram, name: impl Fn(&str) -> String) -> String {
    let counts = by_count(&histogram.counts);
    let rest = counts.iter().skip(VALUES_MAX).map(|(_, count)| count).sum::<u64>() + histogram.other;
    let mut parts: Vec<String> = counts
        .iter()
        .take(VALUES_MAX)
        .map(
            |(value, count)| {
                if counts.len() == 1 { name(value) } else { format!("{} × {}", grouped(*count), name(value)) }
            },
        )
        .collect();
    if rest > 0 {
        parts.push(format!("{} others", grouped(rest)));
    }
    parts.join("   ")
}

fn channels(count: &str) -> String {
    match count {
        "1" => "mono".into(),
        "2" => "stereo".into(),
        other => format!("{} channels", harmless(other)),
    }
}

fn issues(issues: &Map<String, Value>, paint: Paint) -> String {
    let counts = by_count(issues);
    let rest = counts.len().saturating_sub(VALUES_MAX);
    let mut parts: Vec<String> = counts
        .iter()
        .take(VALUES_MAX)
        .map(|(code, count)| format!("{} × {}", grouped(*count), harmless(code)))
        .collect();
    if rest > 0 {
        parts.push(format!("{rest} other sorts"));
    }
    if parts.is_empty() { String::new() } else { paint.yellow(&parts.join("   ")) }
}

fn duplicates(summary: &Summary) -> String {
    let (same, audio) = (&summary.duplicates, &summary.audio_duplicates);
    if same.count + audio.count == 0 {
        return if summary.tier == "quick" { String::new() } else { "none".into() };
    }
    let part = |count: u64, what: &str| (count > 0).then(|| format!("{} × {what}", grouped(count)));
    let parts = [part(same.redundant, "the same bytes again"), part(audio.redundant, "the same audio again")];
    parts.into_iter().flatten().collect::<Vec<_>>().join("   ")
}

fn took(summary: &Summary) -> String {
    let reused = if summary.reused > 0 {
        format!(", {} unchanged and not read again", grouped(summary.reused))
    } else {
        String::new()
    };
    format!("{:.1} s, {:.0} files/s{reused}", summary.seconds, summary.files_per_second)
}

/// A number with its thousands apart: `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn bytes(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let Some((unit, shift)) = units.into_iter().find(|(_, shift)| bytes >> shift > 0) else {
        return format!("{bytes} B");
    };
    let tenths = (u128::from(bytes) * 10) >> shift;
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_is_summed_up_in_a_table() {
        let value = serde_json::json!({
            "path": "/data/LibriTTS", "is_partial": false, "tier": "standard", "files": 1000, "ok": 990, "warnings": 7,
            "errors": 3, "issues": {"truncated": 2, "clipping": 7, "empty_file": 1}, "hours": 1.618, "bytes": 287_309_824_u64,
            "layout": {"level": "root", "recognised": 1000, "misplaced": 0},
            "speakers": {"count": 40, "files_of_unlisted": 0, "listed": []},
            "formats": {"counts": {"riff/pcm_s16": 1000}, "other": 0},
            "sample_rates": {"counts": {"24000": 998, "16000": 2}, "other": 0},
            "channels": {"counts": {"1": 999, "2": 1}, "other": 0},
            "duplicates": {"count": 2, "redundant": 3, "is_complete": true, "listed": []},
            "audio_duplicates": {"count": 0, "redundant": 0, "is_complete": true, "listed": []},
            "reused": 0, "seconds": 1.24, "files_per_second": 806.4, "downloads": ["manifest.jsonl"],
        });
        insta::assert_snapshot!(summary(&value, Paint(false)).unwrap());
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!((grouped(7), grouped(1234), grouped(1_234_567)), ("7".into(), "1,234".into(), "1,234,567".into()));
        assert_eq!((bytes(512), bytes(1536), bytes(3 << 30)), ("512 B".into(), "1.5 KiB".into(), "3.0 GiB".into()));
    }
}
