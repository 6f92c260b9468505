//! The raincheck command: serve, submit, follow and the rest.
fn main() {}
