use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use raincheck_engine::{DeliveryStats, Engine, KindStats, Stats};

use super::PREFIX;

pub(super) type Ints = Gauge<i64, AtomicI64>;
pub(super) type Floats = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndedLabels {
    kind: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    queue: String,
}

/// What the engine and its store count, as they stand: made anew for each look, since they do the counting.
pub(super) fn registry(engine: &Engine) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    let stats = engine.stats();
    now(&mut registry, &stats, engine.store().backlog());
    kinds(&mut registry, &stats);
    webhooks(&mut registry, stats.deliveries);
    queues(&mut registry, engine);
    registry
}

fn now(registry: &mut Registry, stats: &Stats, backlog: usize) {
    let mut gauge = |name: &str, help: &str, value: usize| {
        let gauge = Ints::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    gauge("jobs_waiting", "Jobs that wait, ready or not", stats.waiting);
    gauge("attempts_running", "Attempts that run in this process", stats.running);
    gauge("jobs_followed", "Jobs whose logs are followed", stats.followed);
    gauge("store_backlog", "Calls that wait to be made durable", backlog);
    let lag = Floats::default();
    lag.set(stats.runtime_lag.as_secs_f64());
    registry.register(
        "runtime_lag_seconds",
        "The longest that a task waited for a thread over the last 10 seconds",
        lag,
    );
}

fn webhooks(registry: &mut Registry, stats: DeliveryStats) {
    let deliveries = Family::<DeliveryLabels, Counter>::default();
    for (outcome, count) in [("delivered", stats.delivered), ("failed", stats.failed), ("given_up", stats.given_up)] {
        deliveries.get_or_create(&DeliveryLabels { outcome }).inc_by(count);
    }
    registry.register(
        "webhook_deliveries",
        "Webhooks told of the end of a job since the start, or tried to be",
        deliveries,
    );
}

fn kinds(registry: &mut Registry, stats: &Stats) {
    let (accepted, started, ended) = (
        Family::<KindLabels, Counter>::default(),
        Family::<KindLabels, Counter>::default(),
        Family::<EndedLabels, Counter>::default(),
    );
    let busy = Family::<KindLabels, Counter<f64, AtomicU64>>::default();
    for (kind, KindStats { accepted: accepted_count, started: started_count, ended: ends, busy: took, .. }) in
        &stats.kinds
    {
        let labels = KindLabels { kind: kind.to_string() };
        accepted.get_or_create(&labels).inc_by(*accepted_count);
        started.get_or_create(&labels).inc_by(*started_count);
        busy.get_or_create(&labels).inc_by(took.as_secs_f64());
        for (state, count) in ends {
            ended.get_or_create(&EndedLabels { kind: kind.to_string(), state: state.as_str() }).inc_by(*count);
        }
    }
    registry.register("jobs_accepted", "Jobs accepted since the start", accepted);
    registry.register("attempts_started", "Attempts started since the start", started);
    registry.register("attempts_ended", "Attempts ended since the start, by what became of the job", ended);
    registry.register("attempts_busy_seconds", "How long the ended attempts took, in all", busy);
}

fn queues(registry: &mut Registry, engine: &Engine) {
    let (ready, paused) = (Family::<QueueLabels, Ints>::default(), Family::<QueueLabels, Ints>::default());
    for status in engine.store().queues() {
        let labels = QueueLabels { queue: status.queue.to_string() };
        ready.get_or_create(&labels).set(i64::try_from(status.ready).unwrap_or(i64::MAX));
        paused.get_or_create(&labels).set(i64::from(status.paused));
    }
    registry.register("queue_ready", "Jobs that wait to be claimed, of queues that are paused or not empty", ready);
    registry.register("queue_paused", "Whether claiming from the queue is stopped", paused);
}
