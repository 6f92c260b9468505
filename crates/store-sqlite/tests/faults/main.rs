//! What the store does when something goes wrong around it: one file for each thing that may.

mod child;
mod disk_full;
mod kill;
mod open;
mod sync_fails;
