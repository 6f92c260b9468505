use raincheck_core::{Json, Problem};

/// What an upstream answered in place of a result.
pub(crate) struct UpstreamError<'a> {
    /// Its status.
    pub(crate) status: u16,
    /// Its error object, if it sent one.
    pub(crate) error: Option<&'a Json>,
}

/// The upstream's own words, if a job failed by its answer.
pub(crate) fn upstream_error(problem: &Problem) -> Option<UpstreamError<'_>> {
    Some(UpstreamError { status: problem.upstream_status?, error: problem.upstream_error.as_deref() })
}
