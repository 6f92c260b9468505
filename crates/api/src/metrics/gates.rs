use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use raincheck_upstream::{Ahead, GateStatus};

use super::PREFIX;
use super::engine::{Floats, Ints};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LaneLabels {
    lane: String,
}

/// The gates of upstreams, as they stand. An upstream has a bounded number of them, whatever models are asked for.
pub(super) fn registry(gates: &[GateStatus]) -> Registry {
    let (under_way, limit) = (Family::<LaneLabels, Ints>::default(), Family::<LaneLabels, Ints>::default());
    let breaker = Family::<LaneLabels, Ints>::default();
    let shut = Family::<LaneLabels, Floats>::default();
    for gate in gates {
        let labels = LaneLabels { lane: gate.lane.to_string() };
        under_way.get_or_create(&labels).set(i64::try_from(gate.under_way).unwrap_or(i64::MAX));
        limit.get_or_create(&labels).set(i64::try_from(gate.limit).unwrap_or(i64::MAX));
        breaker.get_or_create(&labels).set(match gate.breaker {
            Ahead::Closed => 0,
            Ahead::HalfOpen => 1,
            Ahead::Open(_) => 2,
        });
        shut.get_or_create(&labels).set(gate.shut_for.unwrap_or_default().as_secs_f64());
    }
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register("upstream_calls_under_way", "Calls under way, by upstream and model", under_way);
    registry.register("upstream_calls_limit", "Calls that may be under way now", limit);
    registry.register("upstream_breaker", "The breaker: 0 closed, 1 half open, 2 open", breaker);
    registry.register("upstream_shut_seconds", "For how long the upstream still wishes not to be called", shut);
    registry
}
