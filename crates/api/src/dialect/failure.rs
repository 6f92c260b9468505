use raincheck_core::{Json, Problem};

/// What an upstream answered in place of a result.
pub(crate) struct UpstreamError<'a> {
    /// The status under which a caller is told of it.
    pub(crate) status: u16,
    /// Its error object, if it sent one.
    pub(crate) error: Option<&'a Json>,
}

/// The upstream's own words, if a job or a call failed by its answer.
pub(crate) fn upstream_error(problem: &Problem) -> Option<UpstreamError<'_>> {
    Some(UpstreamError { status: told(problem.upstream_status?), error: problem.upstream_error.as_deref() })
}

/// What an upstream refuses is the caller's affair, and keeps its status. That it fails is not, and neither is where it sends us: of
/// that the caller is told that it was behind this server, and whether it will pass by itself.
fn told(status: u16) -> u16 {
    match status {
        503 | 529 => 503,
        300..=399 | 500..=599 => 502,
        status => status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_as_one_behind_this_server_and_a_refusal_as_it_is() {
        for (theirs, ours) in
            [(500, 502), (502, 502), (504, 502), (520, 502), (302, 502), (503, 503), (529, 503), (401, 401), (429, 429)]
        {
            assert_eq!(told(theirs), ours, "{theirs}");
        }
    }
}
