use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use hyper::Uri;
use raincheck_core::{Dice, Lane, Openings, Time};
use tokio::time::Instant;

use crate::account::Account;
use crate::own_key::OwnGates;
use crate::route::{Route, RouteError};
use crate::send::Upstream;
use crate::{Egress, Gate, GateStatus, Protocol, Served, UpstreamConfig};

/// How many models of an upstream have a gate of their own. Callers name models: those beyond share one.
const GATES_MAX: usize = 64;
/// The model of the gate that they share.
const OTHERS: &str = "other-models";
/// The gate of uploads stands beside those of models: files are the upstream's, and no model's.
const FILES: &str = "files";
/// How many jobs of a lane are let through of which nothing is known yet, because none has been called since the start.
const OPENING: usize = 4;
/// How many upstreams are tried for one call.
const ROUTES_MAX: usize = 8;
/// An error tells so many names of what there is.
const NAMES_TOLD: usize = 16;

/// All upstreams, with their gates. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Upstreams(Arc<Inner>);

struct Inner {
    upstreams: BTreeMap<String, Arc<Upstream>>,
    gates: Mutex<BTreeMap<(String, String), Arc<Gate>>>,
    own_gates: Mutex<OwnGates>,
    surroundings: Arc<Surroundings>,
}

/// An upstream as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamStatus {
    /// Its name.
    pub name: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it is: host and port of its address, and nothing else of it.
    pub host: String,
    /// The gates of the models that were called.
    pub gates: Vec<GateStatus>,
}

/// Host and port: what stands before or behind them may be secret.
fn host(address: &Uri) -> String {
    let host = address.host().unwrap_or_default();
    address.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Names as an error tells them, of which there may be many.
fn told_of<T: Borrow<str>>(mut names: impl Iterator<Item = T>) -> String {
    let told = names.by_ref().take(NAMES_TOLD).collect::<Vec<_>>().join(", ");
    match names.count() {
        0 if told.is_empty() => "none".to_owned(),
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

type Changed = Box<dyn Fn() + Send + Sync>;
type Chance = Box<dyn Fn() -> Dice + Send + Sync>;

/// What all gates share: time, chance, and whom to tell that something has changed.
pub(crate) struct Surroundings {
    start: Instant,
    chance: Chance,
    changed: OnceLock<Changed>,
}

impl Surroundings {
    /// The time since the start: gates only compare.
    pub(crate) fn now(&self) -> Time {
        Time::EPOCH.after(self.start.elapsed())
    }

    pub(crate) fn dice(&self) -> Dice {
        (self.chance)()
    }

    pub(crate) fn changed(&self) {
        if let Some(changed) = self.changed.get() {
            changed();
        }
    }
}

impl Upstreams {
    /// These upstreams, by name.
    ///
    /// # Errors
    /// If a client cannot be made, with the reason.
    pub fn new(
        configs: BTreeMap<String, UpstreamConfig>,
        egress: &Egress,
        chance: impl Fn() -> Dice + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let upstream = |(name, config): (String, UpstreamConfig)| {
            let upstream = Upstream::new(name.clone(), config, egress)?;
            Ok((name, Arc::new(upstream)))
        };
        let upstreams = configs.into_iter().map(upstream).collect::<std::io::Result<_>>()?;
        let surroundings = Surroundings { start: Instant::now(), chance: Box::new(chance), changed: OnceLock::new() };
        let surroundings = Arc::new(surroundings);
        let inner = Inner { upstreams, gates: Mutex::default(), own_gates: Mutex::default(), surroundings };
        Ok(Self(Arc::new(inner)))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.upstreams.is_empty()
    }

    /// The longest that one call of an upstream of this protocol may take.
    #[must_use]
    pub fn longest_call(&self, protocol: Protocol) -> Option<Duration> {
        let speaking = self.0.upstreams.values().filter(|upstream| upstream.config.protocol == protocol);
        speaking.map(|upstream| upstream.config.patience.total).max()
    }

    /// Has `changed` called whenever a gate may let more through. The first that is given counts.
    pub fn on_change(&self, changed: impl Fn() + Send + Sync + 'static) {
        let _ = self.0.surroundings.changed.set(Box::new(changed));
    }

    /// The upstream to which a call for `model` goes first.
    fn choose(&self, protocol: Protocol, model: &str, name: Option<&str>) -> Result<&Arc<Upstream>, RouteError> {
        let all = &self.0.upstreams;
        let speaking = || all.values().filter(|upstream| upstream.config.protocol == protocol);
        let Some(name) = name else {
            if speaking().next().is_none() {
                return Err(RouteError::NoneSpeaks(protocol));
            }
            let found = speaking().find(|upstream| upstream.lists(model));
            let found = found.or_else(|| speaking().find(|upstream| upstream.takes(model)));
            let of = |upstream: &Arc<Upstream>| {
                let name = upstream.name.clone();
                upstream.config.models.clone().into_iter().map(move |model| format!("{model} ({name})"))
            };
            let known = || told_of(speaking().flat_map(of));
            return found.ok_or_else(|| RouteError::NoModel { model: model.to_owned(), protocol, known: known() });
        };
        match all.get(name).filter(|upstream| upstream.config.protocol == protocol) {
            Some(upstream) if upstream.takes(model) => Ok(upstream),
            Some(upstream) => Err(RouteError::NotTaken {
                name: name.to_owned(),
                model: model.to_owned(),
                taken: told_of(upstream.config.models.iter().map(String::as_str)),
            }),
            None => Err(RouteError::Unknown {
                name: name.to_owned(),
                protocol,
                known: told_of(speaking().map(|upstream| upstream.name.as_str())),
            }),
        }
    }

    /// The name of the upstream to which a call for `model` goes first, if none is named.
    ///
    /// # Errors
    /// If there is none.
    pub fn chosen(&self, protocol: Protocol, model: &str) -> Result<&str, RouteError> {
        self.choose(protocol, model, None).map(|upstream| upstream.name.as_str())
    }

    /// Where a call for `model` goes: the upstream that is named, or the first that takes the model (one that lists it before
    /// one that takes all); and behind it those that are called instead of it.
    ///
    /// # Errors
    /// If there is none.
    pub fn routes(&self, protocol: Protocol, model: &str, name: Option<&str>) -> Result<Vec<Route>, RouteError> {
        let all = &self.0.upstreams;
        let first = self.choose(protocol, model, name)?;
        let mut routes = vec![self.route(first, model)];
        for fallback in &first.config.fallback {
            let (name, other) = fallback.split_once(':').unwrap_or((fallback, model));
            if let Some(upstream) = all.get(name).filter(|other| other.config.protocol == protocol)
                && routes.len() < ROUTES_MAX
            {
                routes.push(self.route(upstream, other));
            }
        }
        Ok(routes)
    }

    /// The models that upstreams of this protocol list, with the upstream of each.
    #[must_use]
    pub fn models(&self, protocol: Protocol) -> Vec<(String, String)> {
        let speaking = self.0.upstreams.values().filter(|upstream| upstream.config.protocol == protocol);
        let of = |upstream: &Arc<Upstream>| {
            let name = upstream.name.clone();
            upstream.config.models.iter().map(move |model| (model.clone(), name.clone())).collect::<Vec<_>>()
        };
        speaking.flat_map(of).collect()
    }

    fn route(&self, upstream: &Arc<Upstream>, model: &str) -> Route {
        let gate = self.gate(upstream, model);
        Route { upstream: Arc::clone(upstream), model: model.to_owned(), gate, own_key: None }
    }

    /// Where files go that a call by this route refers to: the same upstream, past a gate of their own. Providers count uploads
    /// apart from calls, and how long an upload takes says nothing of how a model fares.
    #[must_use]
    pub fn files(&self, route: &Route) -> Route {
        let gate = self.gate(&route.upstream, FILES);
        Route { gate, ..route.clone() }
    }

    fn gate(&self, upstream: &Arc<Upstream>, model: &str) -> Arc<Gate> {
        let mut gates = self.0.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let of_upstream =
            gates.range((upstream.name.clone(), String::new())..).take_while(|((name, _), _)| *name == upstream.name);
        let is_full = of_upstream.count() >= GATES_MAX;
        let key = (upstream.name.clone(), model.to_owned());
        let key = if is_full && !gates.contains_key(&key) { (key.0, OTHERS.to_owned()) } else { key };
        if let Some(gate) = gates.get(&key) {
            return Arc::clone(gate);
        }
        let leads_to = Served { upstream: key.0.clone(), model: key.1.clone() };
        let account = Account::new(&upstream.config, upstream.config.api_key.as_ref(), &key.1);
        let gate = match gates.values().find(|gate| gate.account() == account) {
            Some(other) => other.shared(leads_to),
            None => self.new_gate(leads_to, &upstream.config, account),
        };
        let gate = Arc::new(gate);
        gates.insert(key, Arc::clone(&gate));
        gate
    }

    /// A gate that counts for itself.
    pub(crate) fn new_gate(&self, leads_to: Served, config: &UpstreamConfig, account: Account) -> Gate {
        Gate::new(leads_to, config, account, Arc::clone(&self.0.surroundings))
    }

    /// The gates of keys that callers bring.
    pub(crate) fn own_gates(&self) -> &Mutex<OwnGates> {
        &self.0.own_gates
    }

    /// The lane in which a call for these routes waits: that of the first.
    #[must_use]
    pub fn lane(routes: &[Route]) -> Option<Lane> {
        routes.first().map(|route| route.gate.lane().clone())
    }

    /// How many jobs of each lane could be called right now. A lane whose upstream is down is as open as the first of those
    /// that are called instead.
    #[must_use]
    pub fn openings(&self) -> Openings {
        let gates: Vec<((String, String), Arc<Gate>)> = {
            let gates = self.0.gates.lock().unwrap_or_else(PoisonError::into_inner);
            gates.iter().map(|(key, gate)| (key.clone(), Arc::clone(gate))).collect()
        };
        let free = |((name, model), gate): &((String, String), Arc<Gate>)| {
            let upstream = self.0.upstreams.get(name)?;
            if !gate.is_down() || upstream.config.fallback.is_empty() {
                return Some(gate.free());
            }
            let routes = self.routes(upstream.config.protocol, model, Some(name)).ok()?;
            routes.iter().map(|route| route.gate.free()).find(|free| *free > 0)
        };
        // What lanes of one account have together is divided among them, or each would be sent jobs for all of it.
        let mut sharing: BTreeMap<Account, usize> = BTreeMap::new();
        gates.iter().for_each(|(_, gate)| *sharing.entry(gate.account()).or_default() += 1);
        let part = |entry: &((String, String), Arc<Gate>)| match free(entry) {
            Some(free) if free < usize::MAX => free.div_ceil(sharing[&entry.1.account()]),
            free => free.unwrap_or(0),
        };
        let known = gates.iter().map(|entry| (entry.1.lane().clone(), part(entry))).collect();
        Openings { known, other: OPENING }
    }

    /// All gates as they stand.
    #[must_use]
    pub fn status(&self) -> Vec<GateStatus> {
        let gates = self.0.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.values().map(|gate| gate.status()).collect()
    }

    /// All upstreams, by name, each with those of its gates that were used: what an operator may see of them.
    #[must_use]
    pub fn overview(&self) -> Vec<UpstreamStatus> {
        let mut gates = self.status();
        let of = |upstream: &Arc<Upstream>| {
            let of_it = |gate: &mut GateStatus| gate.upstream == upstream.name;
            UpstreamStatus {
                name: upstream.name.clone(),
                protocol: upstream.config.protocol,
                host: host(&upstream.config.base_url),
                gates: gates.extract_if(.., of_it).collect(),
            }
        };
        self.0.upstreams.values().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_only_host_and_port_are_shown() {
        let shown = |address: &str| host(&address.parse().unwrap());
        assert_eq!(shown("https://user:canary@models.example:8443/canary/v1?key=canary"), "models.example:8443");
        assert_eq!(shown("https://api.openai.com/v1"), "api.openai.com");
    }
}
