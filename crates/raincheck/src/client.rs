/// Where the server listens unless told otherwise.
pub(crate) const SERVER_DEFAULT: &str = "http://127.0.0.1:7246";
