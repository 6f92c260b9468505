use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};

/// The header by which a client says how it would like to be answered (RFC 7240).
pub(crate) const PREFER: HeaderName = HeaderName::from_static("prefer");
/// The header by which a server says which of those it heeded.
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How long a client would rather wait for the end of the job than be answered at once: `Prefer: wait=N`. As the standard
/// has it, a preference that cannot be read is ignored, and of several the first counts.
pub(crate) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all(PREFER).into_iter().filter_map(|value| value.to_str().ok());
    preferences.flat_map(|value| value.split([',', ';'])).find_map(|preference| {
        let (name, seconds) = preference.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("wait") {
            return None;
        }
        seconds.trim().trim_matches('"').parse().ok().map(Duration::from_secs)
    })
}

/// Whether a client would rather be told that its job is accepted than wait for its answer: `Prefer: respond-async`.
pub(crate) fn respond_async(headers: &HeaderMap) -> bool {
    let preferences = headers.get_all(PREFER).into_iter().filter_map(|value| value.to_str().ok());
    preferences.flat_map(|value| value.split([',', ';'])).any(|word| word.trim().eq_ignore_ascii_case("respond-async"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_readable_wait_counts() {
        let wait = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            values.iter().for_each(|value| {
                headers.append(PREFER, value.parse().unwrap());
            });
            super::wait(&headers).map(|wait| wait.as_secs())
        };
        assert_eq!(wait(&["respond-async, wait=10"]), Some(10));
        assert_eq!(wait(&["respond-async", "Wait = 7"]), Some(7));
        assert_eq!(wait(&["wait=x, wait=3"]), Some(3));
        assert_eq!(wait(&["respond-async"]), None);
        assert_eq!(wait(&["wait=-1"]), None);
    }
}
