use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raincheck_core::{Lane, Openings};

/// Attempts that have been started and are not yet at the gate of their lane. The gate does not know of them, so what it says
/// is open is theirs first: else the next claim would give the same opening away again.
#[derive(Debug, Default)]
pub(crate) struct Approaches(Mutex<BTreeMap<Lane, usize>>);

impl Approaches {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Lane, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt of this lane starts.
    pub(crate) fn begin(self: &Arc<Self>, lane: &Lane) -> Approach {
        *self.lock().entry(lane.clone()).or_default() += 1;
        Approach { all: Arc::clone(self), lane: lane.clone() }
    }

    /// What is left of the openings for others.
    pub(crate) fn leave_of(&self, mut openings: Openings) -> Openings {
        for (lane, count) in self.lock().iter() {
            let left = openings.of(lane).saturating_sub(*count);
            openings.limit(lane, left);
        }
        openings
    }
}

/// An attempt on its way to its gate, until it is dropped.
#[derive(Debug)]
pub(crate) struct Approach {
    all: Arc<Approaches>,
    lane: Lane,
}

impl Drop for Approach {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(count) = all.get_mut(&self.lane) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.lane);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_its_way_is_not_given_away_again() {
        let (all, lane): (Arc<Approaches>, Lane) = (Arc::default(), "up.m".parse().unwrap());
        let openings = || Openings { known: [(lane.clone(), 3)].into(), other: 9 };
        let first = all.begin(&lane);
        let second = all.begin(&lane);
        assert_eq!(all.leave_of(openings()).of(&lane), 1);
        drop(first);
        assert_eq!(all.leave_of(openings()).of(&lane), 2);
        drop(second);
        assert_eq!(all.leave_of(openings()), openings());
    }
}
