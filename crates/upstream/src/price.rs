use std::fmt;
use std::str::FromStr;

use crate::Usage;

/// What a million tokens cost, to a thousandth of whatever currency the operator reckons in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    thousandths: u64,
}

/// Text that is no price.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected what a million tokens cost, such as 1.25, with up to three decimals")]
pub struct PriceError;

/// What an upstream's tokens cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    /// Those of requests.
    pub input: Price,
    /// Those of answers.
    pub output: Price,
}

impl Prices {
    /// What a call cost.
    #[must_use]
    pub fn cost(&self, usage: Usage) -> f64 {
        let of = |price: Price, tokens: u64| u128::from(price.thousandths) * u128::from(tokens);
        #[expect(clippy::cast_precision_loss, reason = "what a call costs has fewer digits")]
        let billionths = (of(self.input, usage.input) + of(self.output, usage.output)) as f64;
        billionths / 1e9
    }
}

impl FromStr for Price {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        let (whole, decimals) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
        let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
        if whole.is_empty() || decimals.len() > 3 || !is_number(whole) || !is_number(decimals) {
            return Err(PriceError);
        }
        let thousandths = format!("{whole}{decimals:0<3}").parse().map_err(|_| PriceError)?;
        Ok(Self { thousandths })
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.thousandths / 1_000, self.thousandths % 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_read_to_a_thousandth_and_no_further() {
        let price = |text: &str| text.parse::<Price>().map(|price| price.to_string());
        assert_eq!([price("1.25"), price("10"), price("0.075")].map(Result::unwrap), ["1.250", "10.000", "0.075"]);
        for wrong in ["", ".5", "-1", "1e3", "1.2345", "99999999999999999999", "1.2.3"] {
            assert_eq!(price(wrong), Err(PriceError), "{wrong}");
        }
    }

    #[test]
    fn a_cost_is_of_both_directions() {
        let prices = Prices { input: "1.25".parse().unwrap(), output: "10".parse().unwrap() };
        assert_eq!(prices.cost(Usage { input: 2_000_000, output: 100_000 }), 3.5);
        assert_eq!(prices.cost(Usage { input: 1, output: 0 }), 0.000_001_25);
    }
}
