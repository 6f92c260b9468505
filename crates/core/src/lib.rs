//! The rules of Raincheck: jobs, events, the state machine, retry, fairness.
