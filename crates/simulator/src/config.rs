//! What is simulated. Unknown fields are refused: a misspelt fault would be a test that passes for nothing.

use serde::{Deserialize, Serialize};

use crate::distribution::Distribution;
use crate::rules::FaultRule;

/// Overrides that can be configured.
pub const OVERRIDES_MAX: usize = 200;
/// Rules for faults that can be in force.
pub const FAULT_RULES_MAX: usize = 1_000;
/// When everything is created unless [`SimConfig::epoch`] says otherwise: 1 January 2026.
pub const EPOCH_DEFAULT: i64 = 1_767_225_600;

/// Which provider's language is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// OpenAI, under `/openai/v1`.
    Openai,
    /// Anthropic, under `/anthropic/v1`.
    Anthropic,
    /// FAL's queue, under `/fal`.
    Fal,
    /// Replicate, under `/replicate/v1`.
    Replicate,
    /// Any slow endpoint, under `/http`.
    Http,
}

/// What the simulator does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimConfig {
    /// What content and chance come from: the same seed and the same requests give the same bytes.
    pub seed: u64,
    /// How many simulated seconds pass in a second. It shortens the work (delays), not what callers measure with their own
    /// clock: limits, windows of faults and `Retry-After`.
    pub time_scale: f64,
    /// The time in every `created_at`, in seconds since 1970.
    pub epoch: i64,
    /// Whether a call with an `Idempotency-Key` that was answered before is answered again instead of executed again. The
    /// real ones mostly don't; the ledger groups by key either way.
    pub honour_idempotency_keys: bool,
    /// Keys that are accepted; empty: everything is.
    pub api_keys: Vec<String>,
    /// How calls behave unless an override matches.
    pub behaviour: Behaviour,
    /// Other behaviour for a dialect or model; the first that matches is laid over `behaviour`.
    pub overrides: Vec<Override>,
    /// Faults, from now on.
    pub faults: Vec<FaultRule>,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            time_scale: 1.0,
            epoch: EPOCH_DEFAULT,
            honour_idempotency_keys: false,
            api_keys: Vec::new(),
            behaviour: Behaviour::default(),
            overrides: Vec::new(),
            faults: Vec::new(),
        }
    }
}

/// How calls behave. What is left out comes from what it is laid over, and in the end from the defaults that each field
/// names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Behaviour {
    /// From the start of the work to the first token, or the whole answer where there are no tokens \[50\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<Distribution>,
    /// From one token to the next \[5\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_token_ms: Option<Distribution>,
    /// The whole work, instead: its tokens come evenly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_ms: Option<Distribution>,
    /// Before work begins where there is a queue: FAL, Replicate, background Responses \[20\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_ms: Option<Distribution>,
    /// Before the answer to an uploaded file \[0\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_ms: Option<Distribution>,
    /// Tokens of an answer \[32\]; the request's own maximum cuts it short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<Distribution>,
    /// Limits that are enforced, for each dialect and model by itself \[none\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

impl Behaviour {
    /// This, and where it says nothing, `below`.
    fn over(&self, below: &Self) -> Self {
        Self {
            first_token_ms: self.first_token_ms.or(below.first_token_ms),
            per_token_ms: self.per_token_ms.or(below.per_token_ms),
            call_ms: self.call_ms.or(below.call_ms),
            queue_ms: self.queue_ms.or(below.queue_ms),
            upload_ms: self.upload_ms.or(below.upload_ms),
            output_tokens: self.output_tokens.or(below.output_tokens),
            limits: self.limits.or(below.limits),
        }
    }

    fn complaint(&self) -> Option<String> {
        let named = [
            ("first_token_ms", self.first_token_ms),
            ("per_token_ms", self.per_token_ms),
            ("call_ms", self.call_ms),
            ("queue_ms", self.queue_ms),
            ("upload_ms", self.upload_ms),
            ("output_tokens", self.output_tokens),
        ];
        let wrong = named.iter().find_map(|(name, value)| Some(format!("{name}: {}", (*value)?.complaint()?)));
        let limits = self.limits.is_some_and(|limits| limits.window_ms == 0);
        wrong.or_else(|| limits.then(|| "limits.window_ms: a window has a length".to_owned()))
    }
}

/// Behaviour of some calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Override {
    /// Only of this dialect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// Only of this model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What is different.
    pub behaviour: Behaviour,
}

/// Limits of a dialect and model. The window slides, and is of the caller's clock: `time_scale` does not shorten it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests in a window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Tokens in a window, read and written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Tokens read in a window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens written in a window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Calls at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<u64>,
    /// How long a window is.
    pub window_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: None,
            tokens: None,
            input_tokens: None,
            output_tokens: None,
            concurrent: None,
            window_ms: 60_000,
        }
    }
}

/// What a configuration has wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Wrong(pub(crate) String);

impl SimConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn from_json(text: &str) -> Result<Self, Wrong> {
        let config: Self = serde_json::from_str(text).map_err(|error| Wrong(error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// How calls of this dialect and model behave.
    pub(crate) fn behaviour_of(&self, dialect: Dialect, model: &str) -> Behaviour {
        let matches = |other: &&Override| {
            other.dialect.is_none_or(|only| only == dialect) && other.model.as_deref().is_none_or(|only| only == model)
        };
        let base = &self.behaviour;
        self.overrides.iter().find(matches).map_or_else(|| base.clone(), |other| other.behaviour.over(base))
    }

    /// # Errors
    /// What makes no sense.
    pub(crate) fn check(&self) -> Result<(), Wrong> {
        if !(self.time_scale.is_finite() && self.time_scale > 0.0) {
            return Err(Wrong("time_scale: must be a number above 0".into()));
        }
        if self.overrides.len() > OVERRIDES_MAX {
            return Err(Wrong(format!("overrides: at most {OVERRIDES_MAX} are kept")));
        }
        if self.faults.len() > FAULT_RULES_MAX {
            return Err(Wrong(format!("faults: at most {FAULT_RULES_MAX} rules are kept")));
        }
        let behaviours = std::iter::once(&self.behaviour).chain(self.overrides.iter().map(|other| &other.behaviour));
        if let Some(complaint) = behaviours.filter_map(Behaviour::complaint).next() {
            return Err(Wrong(complaint));
        }
        self.faults.iter().try_for_each(FaultRule::check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_the_default_and_the_unknown_is_refused() {
        assert_eq!(SimConfig::from_json("{}").unwrap(), SimConfig::default());
        let wrong = SimConfig::from_json(r#"{"behaviour": {"first_tokens_ms": {"constant": 1}}}"#).unwrap_err();
        assert!(wrong.to_string().contains("unknown field `first_tokens_ms`"), "{wrong}");
        let wrong = SimConfig::from_json(r#"{"behaviour": {"call_ms": {"uniform": [2, 1]}}}"#).unwrap_err();
        assert!(wrong.to_string().starts_with("call_ms: a distribution needs"), "{wrong}");
        assert!(SimConfig::from_json(r#"{"time_scale": 0}"#).is_err());
    }

    #[test]
    fn the_first_override_that_matches_is_laid_over_the_rest() {
        let config = SimConfig::from_json(
            r#"{"behaviour": {"first_token_ms": {"constant": 1}, "per_token_ms": {"constant": 2}},
                "overrides": [{"model": "slow", "behaviour": {"first_token_ms": {"constant": 9}}}, {"behaviour": {}}]}"#,
        )
        .unwrap();
        let slow = config.behaviour_of(Dialect::Openai, "slow");
        assert_eq!(slow.first_token_ms, Some(Distribution::Constant(9.0)));
        assert_eq!(slow.per_token_ms, Some(Distribution::Constant(2.0)));
        assert_eq!(config.behaviour_of(Dialect::Fal, "x").first_token_ms, Some(Distribution::Constant(1.0)));
    }
}
