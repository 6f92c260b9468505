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
        let Some(values) = self.0.get(name) else { return f64::NAN };
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[middle - 1], sorted[middle]) } else { sorted[middle] }
    }

    /// Everything, as JSON: each measurement, not only the medians.
    pub(crate) fn json(&self) -> Value {
        json!(self.0)
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
}
