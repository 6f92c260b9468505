//! The whole command, from outside.
