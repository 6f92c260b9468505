use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use raincheck_upstream::{Ahead, GateStatus};

use super::PREFIX;
use super::engine::{Floats, Ints};

/// Callers name models: of a name so many bytes are shown, and the lane tells apart what begins alike.
const MODEL_MAX: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GateLabels {
    upstream: String,
    model: String,
    lane: String,
}

impl GateLabels {
    fn of(gate: &GateStatus) -> Self {
        let model = gate.model[..gate.model.floor_char_boundary(MODEL_MAX)].to_owned();
        Self { upstream: gate.upstream.clone(), model, lane: gate.lane.to_string() }
    }
}

/// The gates of upstreams, as they stand. An upstream has a bounded number of them, whatever models are asked for.
pub(super) fn registry(gates: &[GateStatus]) -> Registry {
    let (under_way, limit) = (Family::<GateLabels, Ints>::default(), Family::<GateLabels, Ints>::default());
    let breaker = Family::<GateLabels, Ints>::default();
    let shut = Family::<GateLabels, Floats>::default();
    for gate in gates {
        let labels = GateLabels::of(gate);
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

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn a_gate_is_named_by_upstream_and_model_and_no_name_is_too_long() {
        let gate = |model: &str, lane: &str| GateStatus {
            upstream: "fal".into(),
            model: model.into(),
            lane: lane.parse().unwrap(),
            under_way: 1,
            limit: 2,
            is_adaptive: false,
            requests: None,
            tokens: None,
            breaker: Ahead::Closed,
            shut_for: None,
            shut_by: None,
            setback: None,
        };
        let long = "ä".repeat(300);
        let gates = [gate("fal-ai/flux/dev", "fal.flux-1"), gate(&long, "fal.a"), gate(&long, "fal.b")];
        let mut text = String::new();
        encode(&mut text, &registry(&gates)).unwrap();
        let series = r#"raincheck_upstream_calls_limit{upstream="fal",model="fal-ai/flux/dev",lane="fal.flux-1"} 2"#;
        assert!(text.contains(series), "{text}");
        let longest = text.lines().map(str::len).max().unwrap();
        assert!(longest < 200 && text.matches("calls_limit{").count() == 3, "{text}");
    }
}
