//! How long something takes, or how much there is of it: a fixed number, or one that is drawn.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::draw::Draw;

/// The longest delay that can be drawn: a day.
const DELAY_MS_MAX: f64 = 86_400_000.0;

/// A distribution of numbers that are not negative.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Distribution {
    /// Always this.
    Constant(f64),
    /// Anything between the two, equally often.
    Uniform(f64, f64),
    /// Around a mean; what would be negative is 0.
    Normal {
        /// The middle.
        mean: f64,
        /// Two thirds are no further from the middle than this.
        stddev: f64,
    },
    /// Mostly short, at times long: as calls arrive, or a tail of slow answers.
    Exponential {
        /// The mean.
        mean: f64,
    },
}

impl Distribution {
    /// A number of this distribution.
    pub(crate) fn sample(self, draw: &mut Draw) -> f64 {
        let number = match self {
            Self::Constant(number) => number,
            Self::Uniform(low, high) => low + (high - low) * draw.unit(),
            Self::Normal { mean, stddev } => {
                // Box and Muller; 1 - u is never 0.
                let (u, v) = (1.0 - draw.unit(), draw.unit());
                mean + stddev * (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
            }
            Self::Exponential { mean } => -mean * (1.0 - draw.unit()).ln(),
        };
        number.max(0.0)
    }

    /// A length of time, taking the numbers as milliseconds.
    pub(crate) fn sample_ms(self, draw: &mut Draw) -> Duration {
        Duration::from_secs_f64(self.sample(draw).min(DELAY_MS_MAX) / 1000.0)
    }

    /// A count of at least one and at most `max`.
    pub(crate) fn sample_count(self, draw: &mut Draw, max: u32) -> u32 {
        let number = self.sample(draw).round().clamp(1.0, f64::from(max));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what a u32 holds")]
        let count = number as u32;
        count
    }

    /// What is wrong with it.
    pub(crate) fn complaint(self) -> Option<&'static str> {
        let numbers = match self {
            Self::Constant(number) | Self::Exponential { mean: number } => [number, 0.0],
            Self::Uniform(low, high) => [low, high - low],
            Self::Normal { mean, stddev } => [mean, stddev],
        };
        let fine = numbers.iter().all(|number| number.is_finite() && *number >= 0.0);
        (!fine).then_some("a distribution needs finite numbers that are not negative, the smaller first")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(distribution: Distribution) -> f64 {
        let mut draw = Draw::new(1);
        (0..20_000).map(|_| distribution.sample(&mut draw)).sum::<f64>() / 20_000.0
    }

    #[test]
    fn each_has_the_mean_it_says() {
        for distribution in [
            Distribution::Constant(100.0),
            Distribution::Uniform(50.0, 150.0),
            Distribution::Normal { mean: 100.0, stddev: 10.0 },
            Distribution::Exponential { mean: 100.0 },
        ] {
            assert!((mean(distribution) - 100.0).abs() < 3.0, "{distribution:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        assert!(Distribution::Uniform(2.0, 1.0).complaint().is_some());
        assert!(Distribution::Constant(f64::NAN).complaint().is_some());
        assert_eq!(Distribution::Uniform(1.0, 2.0).complaint(), None);
    }
}
