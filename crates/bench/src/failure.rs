//! Why a benchmark could not be measured. Nobody handles it but a reader.

/// What a benchmark comes to.
pub(crate) type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
