//! What a store of jobs must promise, the suite that holds it to that, and an in-memory model.
