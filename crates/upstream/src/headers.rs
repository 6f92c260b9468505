//! What an answer's headers say of limits and of when to come back.

use std::time::Duration;

use hyper::HeaderMap;
use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// No upstream is waited for longer than this, whatever it says.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(3_600);

/// What is left of a limit, and in how long all of it is there again; and the limit, if it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) limit: Option<u64>,
    pub(crate) remaining: u64,
    pub(crate) reset: Duration,
}

/// What the headers say is left of the requests and of the tokens of this minute.
pub(crate) fn limits(headers: &HeaderMap, now: Timestamp) -> (Option<Left>, Option<Left>) {
    let of = |what: &str| {
        let openai = ["limit", "remaining", "reset"].map(|field| format!("x-ratelimit-{field}-{what}"));
        let anthropic = ["limit", "remaining", "reset"].map(|field| format!("anthropic-ratelimit-{what}-{field}"));
        left(headers, &openai, now).or_else(|| left(headers, &anthropic, now))
    };
    // Where tokens in and out are counted apart, what is left of the scarcer of them; neither's limit is that of all tokens.
    let scarcer = || [of("input-tokens"), of("output-tokens")].into_iter().flatten().min_by_key(|left| left.remaining);
    let apart = || scarcer().map(|left| Left { limit: None, ..left });
    (of("requests"), of("tokens").or_else(apart))
}

fn left(headers: &HeaderMap, [limit, remaining, reset]: &[String; 3], now: Timestamp) -> Option<Left> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    // Negative or absent: unknown.
    let remaining = text(remaining)?.parse().ok()?;
    let reset = wait(text(reset)?, now)?;
    let limit = text(limit).and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0);
    Some(Left { limit, remaining, reset })
}

/// When to come back: `retry-after-ms`, or `Retry-After` in seconds or as a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp, max: Duration) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let millis = text("retry-after-ms").and_then(seconds).map(|millis| millis / 1_000.0);
    let wait = millis.or_else(|| seconds(text("retry-after")?));
    let wait = wait.map(Duration::from_secs_f64).or_else(|| {
        let date = rfc2822::DateTimeParser::new().parse_timestamp(text("retry-after")?).ok()?;
        Some(until(date, now))
    });
    wait.map(|wait| wait.min(max))
}

fn seconds(text: &str) -> Option<f64> {
    text.parse().ok().filter(|seconds: &f64| (0.0..=1e9).contains(seconds))
}

fn until(date: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(date.duration_since(now)).unwrap_or_default()
}

/// A wait as providers write it: seconds, a duration in Go's way (`6m0s`, `12ms`), or a date (RFC 3339).
fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    let wait = seconds(text).map(Duration::from_secs_f64).or_else(|| go_duration(text));
    wait.or_else(|| Some(until(text.parse().ok()?, now))).map(|wait| wait.min(WAIT_MAX))
}

fn go_duration(text: &str) -> Option<Duration> {
    let (mut rest, mut all) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|letter: char| letter.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let factor = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        all += number.parse::<f64>().ok()? * factor;
        rest = after;
    }
    seconds(&all.to_string()).map(Duration::from_secs_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn now() -> Timestamp {
        "2026-11-24T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        let read = |pairs: &[_]| retry_after(&headers(pairs), now(), WAIT_MAX);
        assert_eq!(read(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(read(&[("retry-after", "0.5")]), Some(Duration::from_millis(500)));
        assert_eq!(read(&[("retry-after", "7"), ("retry-after-ms", "250")]), Some(Duration::from_millis(250)));
        assert_eq!(read(&[("retry-after", "Tue, 24 Nov 2026 10:00:30 GMT")]), Some(Duration::from_secs(30)));
        assert_eq!(read(&[("retry-after", "Tue, 24 Nov 2026 09:00:00 GMT")]), Some(Duration::ZERO));
        assert_eq!(read(&[("retry-after", "4000000")]), Some(WAIT_MAX));
        for nonsense in ["-1", "soon", "NaN", "inf", ""] {
            assert_eq!(read(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
    }

    #[test]
    fn what_is_left_is_read_from_openai_and_anthropic() {
        let openai = headers(&[
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "1m0.5s"),
            ("x-ratelimit-remaining-tokens", "1000"),
            ("x-ratelimit-reset-tokens", "12ms"),
        ]);
        let left = |limit, remaining, millis| Some(Left { limit, remaining, reset: Duration::from_millis(millis) });
        assert_eq!(limits(&openai, now()), (left(Some(60), 59, 60_500), left(None, 1_000, 12)));
        let anthropic = headers(&[
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2026-11-24T10:00:20Z"),
        ]);
        assert_eq!(limits(&anthropic, now()), (left(None, 0, 20_000), None));
        let apart = headers(&[
            ("anthropic-ratelimit-input-tokens-remaining", "5000"),
            ("anthropic-ratelimit-input-tokens-reset", "2026-11-24T10:00:20Z"),
            ("anthropic-ratelimit-output-tokens-remaining", "70"),
            ("anthropic-ratelimit-output-tokens-reset", "2026-11-24T10:00:05Z"),
        ]);
        assert_eq!(limits(&apart, now()), (None, left(None, 70, 5_000)));
        let most_restrictive = headers(&[
            ("anthropic-ratelimit-tokens-remaining", "9"),
            ("anthropic-ratelimit-tokens-reset", "2026-11-24T10:00:05Z"),
            ("anthropic-ratelimit-output-tokens-remaining", "7"),
            ("anthropic-ratelimit-output-tokens-reset", "2026-11-24T10:00:05Z"),
        ]);
        assert_eq!(limits(&most_restrictive, now()), (None, left(None, 9, 5_000)));
        let azure = headers(&[("x-ratelimit-remaining-requests", "-1"), ("x-ratelimit-reset-requests", "0")]);
        assert_eq!(limits(&azure, now()), (None, None));
    }
}
