use rustix::process::{Resource, getrlimit, setrlimit};

/// Connections need a file descriptor each, and the usual soft limit of 1,024 is there only for programs that use
/// `select`. Takes what the administrator allows, and says so.
pub(crate) fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    let (before, allowed) = (limit.current, limit.maximum);
    if before == allowed {
        return;
    }
    limit.current = allowed;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => tracing::debug!(?before, now = ?allowed, "raised the limit of open files to the hard limit"),
        Err(error) => tracing::warn!(limit = ?before, %error, "failed to raise the limit of open files"),
    }
}

/// The allocator asks for pages of 2 MiB, which make nothing faster here and leave a server of many idle connections with half
/// as much memory again.
pub(crate) fn decline_huge_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages could not be declined");
    }
}
