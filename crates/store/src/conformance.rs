//! The suite that defines what a store is.
