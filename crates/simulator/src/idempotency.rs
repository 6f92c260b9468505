//! Idempotency keys, for those who configure that they are honoured.

use crate::sim::Bounded;

/// Keys that are remembered.
pub const IDEMPOTENCY_KEYS_MAX: usize = 100_000;

/// What a key was used for.
#[derive(Debug)]
struct Used {
    request: u64,
    repetition: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    UnderWay,
    Answered,
    /// The work was cut short: whoever comes next does it.
    Free,
}

/// What a request with a key is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The work.
    Begin,
    /// Answer as the repetition of this number was answered.
    Replay(u64),
    /// Be refused: the same is under way.
    UnderWay,
    /// Be refused: the key was used for something else.
    Reused,
}

/// The keys that were used.
#[derive(Debug)]
pub(crate) struct Keys(Bounded<String, Used>);

impl Default for Keys {
    fn default() -> Self {
        Self(Bounded::new(IDEMPOTENCY_KEYS_MAX))
    }
}

impl Keys {
    /// Takes a key for a request; `repetition` is the number under which the work is begun.
    pub(crate) fn claim(&mut self, key: &str, request: u64, repetition: u64) -> Claim {
        let fresh = Used { request, repetition, state: State::UnderWay };
        match self.0.get_mut(&key.to_owned()) {
            Some(used) if used.request != request => Claim::Reused,
            Some(used) => match used.state {
                State::UnderWay => Claim::UnderWay,
                State::Answered => Claim::Replay(used.repetition),
                State::Free => {
                    *used = fresh;
                    Claim::Begin
                }
            },
            None => {
                self.0.insert(key.to_owned(), fresh);
                Claim::Begin
            }
        }
    }

    /// The work of a key is over: answered, or cut short.
    pub(crate) fn release(&mut self, key: &str, answered: bool) {
        if let Some(used) = self.0.get_mut(&key.to_owned()) {
            used.state = if answered { State::Answered } else { State::Free };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_for_one_request_and_answered_once() {
        let mut keys = Keys::default();
        assert_eq!(keys.claim("k", 1, 0), Claim::Begin);
        assert_eq!(keys.claim("k", 1, 1), Claim::UnderWay);
        assert_eq!(keys.claim("k", 2, 0), Claim::Reused);
        keys.release("k", false);
        assert_eq!(keys.claim("k", 1, 2), Claim::Begin);
        keys.release("k", true);
        assert_eq!(keys.claim("k", 1, 3), Claim::Replay(2));
    }
}
