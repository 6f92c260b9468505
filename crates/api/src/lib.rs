//! HTTP front doors: turns HTTP into jobs and logs into HTTP.
