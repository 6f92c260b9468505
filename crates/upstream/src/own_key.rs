//! Calls by keys that callers bring themselves, for the calls that are passed through with them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use crate::account::Account;
use crate::{Gate, Route, Secret, Upstreams};

/// How many gates callers' own keys have, of all keys and models together. Where one more is needed, the one that nobody has
/// used for the longest is forgotten, and with it what it knew of its limits.
const OWN_GATES_MAX: usize = 1_024;

/// The gates of callers' own keys, each with when it was last needed.
#[derive(Default)]
pub(crate) struct OwnGates {
    gates: BTreeMap<Account, (Arc<Gate>, u64)>,
    turn: u64,
}

impl OwnGates {
    /// The gate of an account; `None` if there is none and every one that there is is in use.
    fn gate(&mut self, account: Account, make: impl FnOnce() -> Gate) -> Option<Arc<Gate>> {
        self.turn += 1;
        if !self.gates.contains_key(&account) && self.gates.len() >= OWN_GATES_MAX {
            // Whoever calls or waits holds its gate.
            let idle = self.gates.iter().filter(|(_, (gate, _))| Arc::strong_count(gate) == 1);
            let oldest = idle.min_by_key(|(_, (_, turn))| *turn).map(|(account, _)| *account)?;
            self.gates.remove(&oldest);
        }
        let (gate, turn) = self.gates.entry(account).or_insert_with(|| (Arc::new(make()), 0));
        *turn = self.turn;
        Some(Arc::clone(gate))
    }
}

/// Why a caller's own key is not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoOwnKey {
    /// The upstream is always called with the server's.
    #[error(
        "the upstream {0:?} is called with the server's key only; leave your own out, or have its operator set pass_through_key"
    )]
    NotPassed(String),
    /// As many are in use as may be.
    #[error("callers' own keys for {OWN_GATES_MAX} accounts are in use already")]
    TooMany,
}

impl Upstreams {
    /// These routes for a caller who brings a key: with gates of that key's own, for its limits are its own. A key is for whoever
    /// gave it out, so what is called instead of the first route is left out unless it is at the same address.
    ///
    /// # Errors
    /// If the first route does not pass callers' keys on, or too many are in use.
    pub fn with_own_key(&self, mut routes: Vec<Route>, key: &Secret) -> Result<Vec<Route>, NoOwnKey> {
        let Some(first) = routes.first().map(|route| Arc::clone(&route.upstream)) else { return Ok(routes) };
        if !first.config.pass_through_key {
            return Err(NoOwnKey::NotPassed(first.name.clone()));
        }
        let place =
            |config: &crate::UpstreamConfig| (config.base_url.scheme().cloned(), config.base_url.authority().cloned());
        routes.retain(|route| route.config().pass_through_key && place(route.config()) == place(&first.config));
        let mut own = self.own_gates().lock().unwrap_or_else(PoisonError::into_inner);
        for route in &mut routes {
            let account = Account::new(route.config(), Some(key), route.model());
            let make = || self.new_gate(route.served(), route.config(), account);
            route.gate = own.gate(account, make).ok_or(NoOwnKey::TooMany)?;
            route.own_key = Some(key.clone());
        }
        Ok(routes)
    }
}

#[cfg(test)]
mod tests {
    use raincheck_core::Dice;

    use super::*;
    use crate::{Egress, Protocol, UpstreamConfig};

    fn upstreams() -> Upstreams {
        let mut config = UpstreamConfig::new(Protocol::Openai, "http://127.0.0.1:1/v1".parse().unwrap());
        config.pass_through_key = true;
        Upstreams::new([("one".to_owned(), config)].into(), &Egress::default(), || Dice(0)).unwrap()
    }

    #[test]
    fn idle_gates_are_forgotten_and_there_are_only_so_many() {
        let upstreams = upstreams();
        let gate = |key: usize| {
            let routes = upstreams.routes(Protocol::Openai, "m", None).unwrap();
            let own = upstreams.with_own_key(routes, &Secret::new(format!("k{key}")));
            own.map(|mut routes| routes.remove(0).gate)
        };
        let first = gate(0).unwrap();
        for key in 1..OWN_GATES_MAX * 2 {
            drop(gate(key).unwrap());
        }
        assert_eq!(upstreams.own_gates().lock().unwrap().gates.len(), OWN_GATES_MAX);
        assert!(Arc::ptr_eq(&first, &gate(0).unwrap()), "it is in use");
        let held: Vec<_> = (1..OWN_GATES_MAX).map(|key| gate(key).unwrap()).collect();
        assert_eq!(gate(OWN_GATES_MAX).err(), Some(NoOwnKey::TooMany));
        drop(held);
        assert!(gate(OWN_GATES_MAX).is_ok());
    }
}
