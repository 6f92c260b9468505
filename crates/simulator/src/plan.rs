//! How a piece of work will go: decided when it begins, from the seed and the request alone.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Behaviour;
use crate::content;
use crate::distribution::Distribution;
use crate::draw::{Draw, mix};

/// Tokens of an answer, at most.
pub const OUTPUT_TOKENS_MAX: u32 = 131_072;

const FIRST_TOKEN_MS: Distribution = Distribution::Constant(50.0);
const PER_TOKEN_MS: Distribution = Distribution::Constant(5.0);
const QUEUE_MS: Distribution = Distribution::Constant(20.0);
const OUTPUT_TOKENS: Distribution = Distribution::Constant(32.0);

/// What will be written, and when. Delays are already shortened by the time scale.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    text_seed: u64,
    /// The tokens that are written, where they do not come from the seed alone.
    script: Option<Arc<[String]>>,
    pace_seed: u64,
    /// Tokens that are written.
    pub(crate) tokens: u32,
    /// The request's maximum cut the text short.
    pub(crate) cut_short: bool,
    /// Before the work begins, where there is a queue.
    pub(crate) queue: Duration,
    /// From the beginning of the work to the first token.
    pub(crate) first: Duration,
    gap: Gap,
    scale: f64,
}

#[derive(Clone, Copy, Debug)]
enum Gap {
    Even(Duration),
    Drawn(Distribution),
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seeds {
    /// The same for the same request.
    pub(crate) text: u64,
    /// Another for each call.
    pub(crate) call: u64,
}

impl Plan {
    /// `tokens_max` is the request's own limit; `None` if it has none. `script` is what is written, if that is given.
    pub(crate) fn new(
        behaviour: &Behaviour,
        seeds: Seeds,
        tokens_max: Option<u32>,
        script: Option<Arc<[String]>>,
        scale: f64,
    ) -> Self {
        let drawn = behaviour.output_tokens.unwrap_or(OUTPUT_TOKENS);
        let drawn = || drawn.sample_count(&mut Draw::new(mix(seeds.text)), OUTPUT_TOKENS_MAX);
        let wanted = script.as_ref().map_or_else(drawn, |script| u32::try_from(script.len()).unwrap_or(u32::MAX));
        let tokens = wanted.min(tokens_max.unwrap_or(u32::MAX)).max(1);
        let mut draw = Draw::new(seeds.call);
        let mut delay = |distribution: Distribution| distribution.sample_ms(&mut draw).div_f64(scale);
        let queue = delay(behaviour.queue_ms.unwrap_or(QUEUE_MS));
        let (first, gap) = match behaviour.call_ms.map(&mut delay) {
            Some(whole) => (whole / tokens, Gap::Even(whole / tokens)),
            None => (
                delay(behaviour.first_token_ms.unwrap_or(FIRST_TOKEN_MS)),
                Gap::Drawn(behaviour.per_token_ms.unwrap_or(PER_TOKEN_MS)),
            ),
        };
        let pace_seed = draw.bits();
        Self { text_seed: seeds.text, script, pace_seed, tokens, cut_short: tokens < wanted, queue, first, gap, scale }
    }

    /// The same work, done at once.
    pub(crate) fn at_once(mut self) -> Self {
        (self.queue, self.first, self.gap) = (Duration::ZERO, Duration::ZERO, Gap::Even(Duration::ZERO));
        self
    }

    /// From the token before this one to this one; from the beginning of the work for the first.
    pub(crate) fn gap(&self, place: u32) -> Duration {
        match self.gap {
            _ if place == 0 => self.first,
            Gap::Even(gap) => gap,
            Gap::Drawn(distribution) => {
                let mut draw = Draw::new(mix(self.pace_seed ^ u64::from(place)));
                distribution.sample_ms(&mut draw).div_f64(self.scale)
            }
        }
    }

    /// From the beginning of the work to its last token.
    pub(crate) fn whole(&self) -> Duration {
        match self.gap {
            Gap::Even(gap) => self.first + gap * (self.tokens - 1),
            Gap::Drawn(Distribution::Constant(_)) => self.first + self.gap(1) * (self.tokens - 1),
            Gap::Drawn(_) => (0..self.tokens).map(|place| self.gap(place)).sum(),
        }
    }

    /// A length of time as it is in the simulation, where the work is not shortened.
    pub(crate) fn simulated(&self, length: Duration) -> Duration {
        length.mul_f64(self.scale)
    }

    /// A token.
    pub(crate) fn token(&self, place: u32) -> String {
        match &self.script {
            Some(script) => {
                usize::try_from(place).ok().and_then(|place| script.get(place)).cloned().unwrap_or_default()
            }
            None => content::token(self.text_seed, place),
        }
    }

    /// The whole text.
    pub(crate) fn text(&self) -> String {
        (0..self.tokens).map(|place| self.token(place)).collect()
    }

    /// What other content comes from.
    pub(crate) fn seed(&self) -> u64 {
        self.text_seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEDS: Seeds = Seeds { text: 1, call: 2 };

    #[test]
    fn delays_are_as_configured_and_scaled() {
        let minutes = Behaviour { call_ms: Some(Distribution::Constant(720_000.0)), ..Behaviour::default() };
        let plan = Plan::new(&minutes, SEEDS, None, None, 360.0);
        assert!(plan.whole().abs_diff(Duration::from_secs(2)) < Duration::from_millis(1), "{:?}", plan.whole());
        let plan = Plan::new(&Behaviour::default(), SEEDS, None, None, 1.0);
        assert_eq!(plan.whole(), Duration::from_millis(50 + 31 * 5));
        assert_eq!(plan.whole(), (0..32).map(|place| plan.gap(place)).sum());
        assert_eq!(plan.at_once().whole(), Duration::ZERO);
    }

    #[test]
    fn the_text_is_the_requests_and_the_pace_is_the_calls() {
        let drawn = Behaviour {
            per_token_ms: Some(Distribution::Exponential { mean: 5.0 }),
            output_tokens: Some(Distribution::Uniform(10.0, 90.0)),
            ..Behaviour::default()
        };
        let [one, other] = [2, 3].map(|call| Plan::new(&drawn, Seeds { text: 1, call }, None, None, 1.0));
        assert_eq!((one.tokens, one.text()), (other.tokens, other.text()));
        assert_ne!(one.whole(), other.whole());
    }

    #[test]
    fn a_maximum_cuts_the_text_short() {
        let plan = Plan::new(&Behaviour::default(), SEEDS, Some(5), None, 1.0);
        assert_eq!((plan.tokens, plan.cut_short), (5, true));
        assert!(!Plan::new(&Behaviour::default(), SEEDS, Some(500), None, 1.0).cut_short);
    }
}
