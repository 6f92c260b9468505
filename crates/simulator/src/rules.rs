//! When something goes wrong: by rate, by script, in a window of time. What a request asks for itself comes before.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::config::{Dialect, FAULT_RULES_MAX, Wrong};
use crate::draw::Draw;
use crate::fault::Fault;

/// Which requests a rule is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// Those that ask for work.
    #[default]
    Create,
    /// Those that look after it: retrieve, status, result, cancel.
    Poll,
    /// Both.
    Any,
}

/// When a fault happens. With nothing but the fault: always.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// What goes wrong.
    pub fault: Fault,
    /// Only in this dialect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// Only with this model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Which requests.
    #[serde(default)]
    pub on: On,
    /// How often, from 0 to 1.
    #[serde(default = "always")]
    pub rate: f64,
    /// So many calls are let pass first.
    #[serde(default)]
    pub skip: u64,
    /// So many times at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// From so long after it was set, by the caller's clock.
    #[serde(default)]
    pub after_ms: u64,
    /// For so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
}

fn always() -> f64 {
    1.0
}

impl FaultRule {
    /// Always this fault.
    #[must_use]
    pub fn always(fault: Fault) -> Self {
        Self {
            fault,
            dialect: None,
            model: None,
            on: On::Create,
            rate: 1.0,
            skip: 0,
            calls: None,
            after_ms: 0,
            for_ms: None,
        }
    }

    /// # Errors
    /// What makes no sense.
    pub(crate) fn check(&self) -> Result<(), Wrong> {
        if !(0.0..=1.0).contains(&self.rate) {
            return Err(Wrong("rate: must be a number from 0 to 1".into()));
        }
        self.fault.check()
    }
}

/// The rules in force, in the order in which they were set; the first that applies decides.
#[derive(Debug, Default)]
pub(crate) struct Rules(Vec<(FaultRule, Instant)>);

impl Rules {
    /// Puts rules in force.
    ///
    /// # Errors
    /// If that would be more than [`FAULT_RULES_MAX`].
    pub(crate) fn add(&mut self, rules: Vec<FaultRule>, now: Instant) -> Result<(), Wrong> {
        self.0.retain(|(rule, since)| !rule.is_over(*since, now));
        if self.0.len() + rules.len() > FAULT_RULES_MAX {
            return Err(Wrong(format!("at most {FAULT_RULES_MAX} rules are kept")));
        }
        self.0.extend(rules.into_iter().map(|rule| (rule, now)));
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The rules that still say something.
    pub(crate) fn list(&self, now: Instant) -> Vec<&FaultRule> {
        self.0.iter().filter(|(rule, since)| !rule.is_over(*since, now)).map(|(rule, _)| rule).collect()
    }

    /// The fault of this call.
    pub(crate) fn pick(&mut self, call: &Asked<'_>, now: Instant, draw: &mut Draw) -> Option<Fault> {
        self.0.iter_mut().find_map(|(rule, since)| rule.applies(*since, call, now, draw).then(|| rule.fault.clone()))
    }
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) dialect: Dialect,
    pub(crate) model: &'a str,
    pub(crate) creates: bool,
}

impl FaultRule {
    fn is_over(&self, since: Instant, now: Instant) -> bool {
        let ended = |length| now >= since + Duration::from_millis(self.after_ms.saturating_add(length));
        self.calls == Some(0) || self.for_ms.is_some_and(ended)
    }

    fn applies(&mut self, since: Instant, call: &Asked<'_>, now: Instant, draw: &mut Draw) -> bool {
        let of_this = self.dialect.is_none_or(|only| only == call.dialect)
            && self.model.as_deref().is_none_or(|only| only == call.model)
            && match self.on {
                On::Create => call.creates,
                On::Poll => !call.creates,
                On::Any => true,
            };
        let begun = now >= since + Duration::from_millis(self.after_ms);
        if !of_this || !begun || self.is_over(since, now) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        // Drawn only where it matters, so that a rule which always applies changes no other draw.
        let happens = self.rate >= 1.0 || draw.unit() < self.rate;
        if happens && let Some(calls) = &mut self.calls {
            *calls -= 1;
        }
        happens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Asked<'_> = Asked { dialect: Dialect::Openai, model: "m", creates: true };

    fn rule(json: &str) -> FaultRule {
        serde_json::from_str(json).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_script_skips_and_counts() {
        let mut rules = Rules::default();
        rules.add(vec![rule(r#"{"fault": {"kind": "unavailable"}, "skip": 1, "calls": 2}"#)], Instant::now()).unwrap();
        let mut draw = Draw::new(0);
        let picked: Vec<bool> = (0..5).map(|_| rules.pick(&CALL, Instant::now(), &mut draw).is_some()).collect();
        assert_eq!(picked, [false, true, true, false, false]);
        assert!(rules.list(Instant::now()).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_begins_and_ends() {
        let mut rules = Rules::default();
        let window = rule(r#"{"fault": {"kind": "unavailable"}, "after_ms": 1000, "for_ms": 60000}"#);
        rules.add(vec![window], Instant::now()).unwrap();
        let mut draw = Draw::new(0);
        let mut happens = || rules.pick(&CALL, Instant::now(), &mut draw).is_some();
        assert!(!happens());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(happens());
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!happens());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept() {
        let mut rules = Rules::default();
        rules.add(vec![rule(r#"{"fault": {"kind": "overloaded"}, "rate": 0.25}"#)], Instant::now()).unwrap();
        let mut draw = Draw::new(3);
        let hits = (0..10_000).filter(|_| rules.pick(&CALL, Instant::now(), &mut draw).is_some()).count();
        assert!((2_300..2_700).contains(&hits), "{hits}");
    }
}
