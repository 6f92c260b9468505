//! Makes jobs happen: claim, run, heartbeat, retry, cancel, wake readers, maintain.
