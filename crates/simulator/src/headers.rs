//! The headers that providers send along: ids, limits, and when to come back.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use jiff::Timestamp;

use crate::config::Dialect;
use crate::fault::RetryAfter;
use crate::limiter::{Measure, Standing};

/// The wall clock: dates that callers compare with their own clock must be of the same time. Nothing else depends on it.
pub(crate) fn wall() -> Timestamp {
    Timestamp::now()
}

fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        headers.insert(name, value);
    }
}

/// What every answer of a dialect carries.
pub(crate) fn identify(headers: &mut HeaderMap, dialect: Dialect, request_id: &str) {
    match dialect {
        Dialect::Openai => {
            put(headers, "x-request-id", request_id);
            put(headers, "openai-version", "2020-10-01");
            put(headers, "openai-organization", "org-simulator");
        }
        Dialect::Anthropic => {
            put(headers, "request-id", request_id);
            put(headers, "anthropic-organization-id", "org-simulator");
        }
        Dialect::Fal => put(headers, "x-fal-request-id", request_id),
        Dialect::Replicate | Dialect::Http => put(headers, "x-request-id", request_id),
    }
    put(headers, header::SERVER.as_str(), "raincheck-simulator");
}

/// How long it took until the answer began.
pub(crate) fn took(headers: &mut HeaderMap, dialect: Dialect, took: Duration) {
    if dialect == Dialect::Openai {
        put(headers, "openai-processing-ms", &took.as_millis().to_string());
    }
}

/// How the limits stand.
pub(crate) fn limits(headers: &mut HeaderMap, dialect: Dialect, standings: &[Standing]) {
    for Standing { measure, limit, remaining, reset } in standings {
        let name = match measure {
            Measure::Requests => "requests",
            Measure::Tokens => "tokens",
            Measure::InputTokens => "input-tokens",
            Measure::OutputTokens => "output-tokens",
        };
        let split = matches!(measure, Measure::InputTokens | Measure::OutputTokens);
        let (start, reset) = match dialect {
            Dialect::Anthropic => ("anthropic-ratelimit", at(*reset)),
            Dialect::Openai | Dialect::Http if !split => ("x-ratelimit", go_duration(*reset)),
            _ => continue,
        };
        let fields = match dialect {
            // Anthropic names the thing first, OpenAI the number.
            Dialect::Anthropic => [format!("{name}-limit"), format!("{name}-remaining"), format!("{name}-reset")],
            _ => [format!("limit-{name}"), format!("remaining-{name}"), format!("reset-{name}")],
        };
        for (field, value) in fields.iter().zip([limit.to_string(), remaining.to_string(), reset]) {
            put(headers, &format!("{start}-{field}"), &value);
        }
    }
}

/// When to come back.
pub(crate) fn retry_after(headers: &mut HeaderMap, form: RetryAfter, wait: Duration) {
    let seconds = wait.as_millis().div_ceil(1000).to_string();
    match form {
        RetryAfter::None => {}
        RetryAfter::Seconds => put(headers, "retry-after", &seconds),
        RetryAfter::Ms => {
            put(headers, "retry-after-ms", &wait.as_millis().to_string());
            put(headers, "retry-after", &seconds);
        }
        RetryAfter::Date => {
            // An HTTP date has whole seconds: the next one, so that nobody comes too early.
            let at = wall().as_millisecond() + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 2);
            let at = Timestamp::from_second(at.div_euclid(1000) + i64::from(at.rem_euclid(1000) > 0));
            let date = at.unwrap_or(Timestamp::MAX).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            put(headers, "retry-after", &date);
        }
    }
}

/// A time from now, as Anthropic writes it: whole seconds, the next one.
fn at(from_now: Duration) -> String {
    let millis = wall().as_millisecond() + i64::try_from(from_now.as_millis()).unwrap_or(i64::MAX / 2);
    Timestamp::from_second(millis.div_euclid(1000) + 1).unwrap_or(Timestamp::MAX).to_string()
}

/// A length of time as OpenAI writes it (Go's `Duration`): `12ms`, `1s`, `8.64s`, `6m0s`, `1h0m0s`.
pub(crate) fn go_duration(duration: Duration) -> String {
    let millis = duration.as_micros().div_ceil(1000);
    if millis == 0 {
        return "0s".into();
    }
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let seconds = format!("{}.{:03}", rest / 1000, rest % 1000);
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_written_as_go_does() {
        let cases =
            [(0, "0s"), (12, "12ms"), (1_000, "1s"), (8_640, "8.64s"), (360_000, "6m0s"), (3_600_000, "1h0m0s")];
        for (millis, text) in cases {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(go_duration(Duration::from_micros(10)), "1ms");
    }

    #[test]
    fn coming_back_is_told_in_each_form() {
        let told = |form| {
            let mut headers = HeaderMap::new();
            retry_after(&mut headers, form, Duration::from_millis(1_500));
            let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            (text("retry-after"), text("retry-after-ms"))
        };
        assert_eq!(told(RetryAfter::None), (None, None));
        assert_eq!(told(RetryAfter::Seconds), (Some("2".into()), None));
        assert_eq!(told(RetryAfter::Ms), (Some("2".into()), Some("1500".into())));
        let date = told(RetryAfter::Date).0.unwrap();
        assert!(date.ends_with(" GMT") && date.len() == 29, "{date}");
    }

    #[test]
    fn each_provider_has_its_own_names_for_limits() {
        let standing = |measure| Standing { measure, limit: 10, remaining: 4, reset: Duration::from_secs(6) };
        let standings = [standing(Measure::Requests), standing(Measure::InputTokens)];
        let mut headers = HeaderMap::new();
        limits(&mut headers, Dialect::Openai, &standings);
        assert_eq!(headers.len(), 3);
        assert_eq!(headers["x-ratelimit-remaining-requests"], "4");
        assert_eq!(headers["x-ratelimit-reset-requests"], "6s");
        let mut headers = HeaderMap::new();
        limits(&mut headers, Dialect::Anthropic, &standings);
        assert_eq!(headers.len(), 6);
        assert_eq!(headers["anthropic-ratelimit-input-tokens-limit"], "10");
        assert!(headers["anthropic-ratelimit-requests-reset"].to_str().unwrap().ends_with('Z'));
    }
}
