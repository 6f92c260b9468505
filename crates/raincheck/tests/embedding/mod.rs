//! The library face, used as a program uses it: jobs in its own process, under its own routes.

mod ends;
mod example;
mod http;
mod lives;

use raincheck::{Builder, Context, Failure, Raincheck};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::support::Place;

/// What the tests' handlers are given.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sum {
    /// To be added up.
    of: Vec<u32>,
}

async fn add(_: Context, sum: Sum) -> Result<u32, Failure> {
    Ok(sum.of.iter().sum())
}

/// A program whose jobs are in this place.
fn program(place: &Place) -> Builder {
    Raincheck::builder().data_dir(place.data()).handler("sum", add)
}
