//! The limits that the simulator enforces itself, and how near callers came to them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::config::{Dialect, Limits};

/// Dialects and models that are counted by themselves; what comes later shares one count.
pub const LIMITED_MODELS_MAX: usize = 1_000;
/// What a window remembers by itself; what comes closer together than a window divided by this is remembered as one.
const ENTRIES_MAX: u32 = 6_000;

/// A window that slides over time: what was let in during the last `length`.
#[derive(Debug, Default)]
struct Window {
    entries: VecDeque<(Instant, u64)>,
    used: u64,
    peak: u64,
}

impl Window {
    /// Forgets what is older than the window.
    fn slide(&mut self, length: Duration, now: Instant) {
        while let Some((at, amount)) = self.entries.front().copied().filter(|(at, _)| now >= *at + length) {
            debug_assert!(at <= now);
            self.used -= amount;
            self.entries.pop_front();
        }
    }

    fn add(&mut self, amount: u64, length: Duration, now: Instant) {
        let nearby = length / ENTRIES_MAX;
        match self.entries.back_mut() {
            Some((at, last)) if now <= *at + nearby => *last += amount,
            _ => self.entries.push_back((now, amount)),
        }
        self.used += amount;
        self.peak = self.peak.max(self.used);
    }

    /// How long until `amount` fits under `limit`.
    fn wait(&self, amount: u64, limit: u64, length: Duration, now: Instant) -> Duration {
        let mut over = (self.used + amount).saturating_sub(limit);
        for (at, leaving) in &self.entries {
            over = over.saturating_sub(*leaving);
            if over == 0 {
                return *at + length - now;
            }
        }
        length
    }

    /// How long until nothing is used.
    fn reset(&self, length: Duration, now: Instant) -> Duration {
        self.entries.back().map_or(Duration::ZERO, |(at, _)| *at + length - now)
    }
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    Requests,
    Tokens,
    InputTokens,
    OutputTokens,
}

/// How a limit stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) measure: Measure,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    pub(crate) reset: Duration,
}

/// What a call was told.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It was let in, and counted.
    In,
    /// It is over this limit, and will fit after so long.
    Over { measure: Measure, wait: Duration, requested: u64 },
    /// Too many are under way.
    Crowded,
}

/// The limits of one dialect and model.
#[derive(Debug, Default)]
struct Limited {
    /// As in [`MEASURES`].
    windows: [Window; 4],
    under_way: u64,
    under_way_peak: u64,
    breaches: u64,
}

const MEASURES: [Measure; 4] = [Measure::Requests, Measure::Tokens, Measure::InputTokens, Measure::OutputTokens];

fn limit_of(limits: &Limits, measure: Measure) -> Option<u64> {
    match measure {
        Measure::Requests => limits.requests,
        Measure::Tokens => limits.tokens,
        Measure::InputTokens => limits.input_tokens,
        Measure::OutputTokens => limits.output_tokens,
    }
}

/// Whose limits they are.
pub(crate) type Account = (Dialect, String);

/// All limits.
#[derive(Debug, Default)]
pub(crate) struct Limiter(BTreeMap<Account, Limited>);

impl Limiter {
    /// The name under which this dialect and model are counted.
    pub(crate) fn account(&self, dialect: Dialect, model: &str) -> Account {
        let account = (dialect, model.to_owned());
        let known = self.0.contains_key(&account) || self.0.len() < LIMITED_MODELS_MAX;
        if known { account } else { (dialect, "(others)".to_owned()) }
    }

    /// Lets a call of so many tokens in and counts it, or says why not, which is a breach.
    pub(crate) fn enter(&mut self, account: &Account, limits: &Limits, tokens: (u64, u64), now: Instant) -> Verdict {
        let limited = self.0.entry(account.clone()).or_default();
        let length = Duration::from_millis(limits.window_ms);
        limited.windows.iter_mut().for_each(|window| window.slide(length, now));
        let amounts = [1, tokens.0 + tokens.1, tokens.0, tokens.1];
        if limits.concurrent.is_some_and(|most| limited.under_way >= most) {
            limited.breaches += 1;
            return Verdict::Crowded;
        }
        for ((measure, window), amount) in MEASURES.into_iter().zip(&limited.windows).zip(amounts) {
            if let Some(limit) = limit_of(limits, measure).filter(|limit| window.used + amount > *limit) {
                let wait = window.wait(amount, limit, length, now);
                limited.breaches += 1;
                return Verdict::Over { measure, wait, requested: amount };
            }
        }
        for (window, amount) in limited.windows.iter_mut().zip(amounts) {
            window.add(amount, length, now);
        }
        limited.under_way += 1;
        limited.under_way_peak = limited.under_way_peak.max(limited.under_way);
        Verdict::In
    }

    /// A call that was let in is over.
    pub(crate) fn leave(&mut self, account: &Account) {
        if let Some(limited) = self.0.get_mut(account) {
            limited.under_way = limited.under_way.saturating_sub(1);
        }
    }

    /// How the limits stand, for the headers of an answer.
    pub(crate) fn standing(&mut self, account: &Account, limits: &Limits, now: Instant) -> Vec<Standing> {
        let length = Duration::from_millis(limits.window_ms);
        let limited = self.0.entry(account.clone()).or_default();
        let standing = |(measure, window): (Measure, &mut Window)| {
            let limit = limit_of(limits, measure)?;
            window.slide(length, now);
            let remaining = limit.saturating_sub(window.used);
            Some(Standing { measure, limit, remaining, reset: window.reset(length, now) })
        };
        MEASURES.into_iter().zip(&mut limited.windows).filter_map(standing).collect()
    }

    /// What was counted; calls under way stay counted.
    pub(crate) fn usage(&self) -> Vec<Usage> {
        let usage = |((dialect, model), limited): (&Account, &Limited)| Usage {
            dialect: *dialect,
            model: model.clone(),
            requests_peak: limited.windows[0].peak,
            tokens_peak: limited.windows[1].peak,
            concurrent_peak: limited.under_way_peak,
            breaches: limited.breaches,
        };
        self.0.iter().map(usage).collect()
    }

    /// Forgets what was counted, but for calls under way.
    pub(crate) fn reset(&mut self) {
        self.0.retain(|_, limited| {
            *limited =
                Limited { under_way: limited.under_way, under_way_peak: limited.under_way, ..Limited::default() };
            limited.under_way > 0
        });
    }
}

/// The most that was let in of a dialect and model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The dialect.
    pub dialect: Dialect,
    /// The model.
    pub model: String,
    /// Requests let in within a window, at most.
    pub requests_peak: u64,
    /// Tokens let in within a window, at most.
    pub tokens_peak: u64,
    /// Calls at once, at most.
    pub concurrent_peak: u64,
    /// Calls that were over a limit, and were refused.
    pub breaches: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        (Dialect::Openai, "m".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_slides_and_says_when_there_is_room() {
        let limits = Limits { requests: Some(3), ..Limits::default() };
        let mut limiter = Limiter::default();
        for _ in 0..3 {
            assert!(matches!(limiter.enter(&account(), &limits, (1, 1), Instant::now()), Verdict::In));
            tokio::time::advance(Duration::from_secs(10)).await;
        }
        let verdict = limiter.enter(&account(), &limits, (1, 1), Instant::now());
        let Verdict::Over { measure: Measure::Requests, wait, requested: 1 } = verdict else { panic!("{verdict:?}") };
        assert_eq!(wait, Duration::from_secs(30));
        let standing = limiter.standing(&account(), &limits, Instant::now());
        assert_eq!((standing[0].limit, standing[0].remaining), (3, 0));
        assert_eq!(standing[0].reset, Duration::from_secs(50));
        tokio::time::advance(wait).await;
        assert!(matches!(limiter.enter(&account(), &limits, (1, 1), Instant::now()), Verdict::In));
        let usage = &limiter.usage()[0];
        assert_eq!((usage.requests_peak, usage.breaches), (3, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_and_calls_at_once_are_limited_too() {
        let limits = Limits { tokens: Some(100), concurrent: Some(2), ..Limits::default() };
        let mut limiter = Limiter::default();
        let mut enter = |tokens| limiter.enter(&account(), &limits, tokens, Instant::now());
        assert!(matches!(enter((50, 40)), Verdict::In));
        assert!(matches!(enter((5, 6)), Verdict::Over { measure: Measure::Tokens, requested: 11, .. }));
        assert!(matches!(enter((5, 5)), Verdict::In));
        assert!(matches!(enter((0, 0)), Verdict::Crowded));
        limiter.leave(&account());
        assert!(matches!(limiter.enter(&account(), &limits, (0, 0), Instant::now()), Verdict::In));
    }
}
