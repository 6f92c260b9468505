//! What [`Raincheck`](crate::Raincheck) and `raincheck serve` are both put together from. The two differ in what they are
//! told, and in whom they tell of it; what is done is done here. No part of the API of this crate.

mod address;
mod kept;
mod upkeep;

pub use address::{Access, access, bind, listen};
pub use kept::{Keep, KeepError, Kept};
pub use upkeep::remove_forgotten;

/// Where uploaded files are, in the data directory.
pub const UPLOADS: &str = "uploads";
