//! Repeated measurements of one thing.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// What was measured of one variant, round by round, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures(BTreeMap<&'static str, Vec<f64>>);

impl Figures {
    /// Adds a measurement.
    pub(crate) fn add(&mut self, name: &'static str, value: f64) {
        self.0.entry(name).or_default().push(value);
    }

    /// What was measured last; not a number if nothing was.
    pub(crate) fn last(&self, name: &str) -> f64 {
        self.0.get(name).and_then(|values| values.last().copied()).unwrap_or(f64::NAN)
    }

    /// The median of what was measured; not a number if nothing was.
    pub(crate) fn median(&self, name: &str) -> f64 {
        self.0.get(name).map_or(f64::NAN, |values| median(values.clone()))
    }

    /// The median of what was measured divided by what was measured of another variant in the same round: what slows a
    /// machine down for a while slows both.
    pub(crate) fn ratio(&self, name: &str, other: &Self) -> f64 {
        let (Some(own), Some(others)) = (self.0.get(name), other.0.get(name)) else { return f64::NAN };
        median(own.iter().zip(others).map(|(own, other)| own / other).collect())
    }

    /// As [`Figures::ratio`], the difference.
    pub(crate) fn difference(&self, name: &str, other: &Self) -> f64 {
        let (Some(own), Some(others)) = (self.0.get(name), other.0.get(name)) else { return f64::NAN };
        median(own.iter().zip(others).map(|(own, other)| own - other).collect())
    }

    /// All that was measured together.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.0.get(name).into_iter().flatten().sum()
    }

    /// Everything, as JSON: each measurement, not only the medians.
    pub(crate) fn json(&self) -> Value {
        json!(self.0)
    }
}

/// The value in the middle; not a number if there is none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length.is_multiple_of(2) => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let median = |values: &[f64]| {
            let mut figures = Figures::default();
            values.iter().for_each(|value| figures.add("x", *value));
            figures.median("x")
        };
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        let figures = |values: &[f64]| {
            let mut figures = Figures::default();
            values.iter().for_each(|value| figures.add("x", *value));
            figures
        };
        assert_eq!(figures(&[10.0, 2.0, 40.0]).ratio("x", &figures(&[20.0, 4.0, 20.0])), 0.5);
        assert!(figures(&[1.0]).ratio("y", &figures(&[1.0])).is_nan());
        assert_eq!(figures(&[10.0, 2.0, 40.0]).difference("x", &figures(&[20.0, 4.0, 20.0])), -2.0);
        assert_eq!(figures(&[10.0, 2.0, 40.0]).sum("x"), 52.0);
    }
}
