use std::time::Duration;

use raincheck_api::ApiSettings;
use raincheck_store as store;

use super::reader::Reader;
use super::size::Size;

/// `[limits]`: what is taken at most, so that one caller cannot harm the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Jobs of one tenant that wait at once.
    waiting_per_tenant: usize,
    /// Jobs that wait at once, of all tenants together.
    waiting: usize,
    /// Idempotency keys remembered at once.
    idempotency_keys: usize,
    /// The largest input of one job.
    input: Size,
    /// The largest request body.
    body: Size,
    /// Request bodies in memory at once, all together.
    bodies: Size,
    /// Jobs in a batch.
    batch: usize,
    /// Connections at once.
    connections: usize,
    /// The longest that a request may wait for its job.
    wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let store::Limits { waiting_per_tenant, waiting, idempotency_keys, .. } = store::Limits::default();
        let api = ApiSettings::default();
        Self {
            waiting_per_tenant,
            waiting,
            idempotency_keys,
            input: Size::of(api.input_bytes_max),
            body: Size::of(api.body_bytes_max),
            bodies: Size::of(api.bodies_bytes_max),
            batch: api.batch_max,
            connections: api.connections_max,
            wait: api.wait_max,
        }
    }
}

impl Limits {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let default = Self::default();
        let mut section = reader.section("limits");
        let mut number =
            |key, default| section.get_if(key, default, |number: &usize| *number > 0, "must be at least 1");
        let (waiting_per_tenant, waiting) =
            (number("waiting_per_tenant", default.waiting_per_tenant), number("waiting", default.waiting));
        let idempotency_keys = number("idempotency_keys", default.idempotency_keys);
        let (batch, connections) = (number("batch", default.batch), number("connections", default.connections));
        let mut size =
            |key, default| section.get_if(key, default, |size: &Size| *size >= Size(1_024), "must be at least 1 KiB");
        let (input, body, bodies) =
            (size("input", default.input), size("body", default.body), size("bodies", default.bodies));
        let wait = section.get("wait", default.wait);
        Self { waiting_per_tenant, waiting, idempotency_keys, input, body, bodies, batch, connections, wait }
    }

    /// The limits that a store keeps.
    pub(crate) fn of_store(&self) -> store::Limits {
        store::Limits {
            waiting_per_tenant: self.waiting_per_tenant,
            waiting: self.waiting,
            idempotency_keys: self.idempotency_keys,
            ..store::Limits::default()
        }
    }

    /// The limits that the HTTP side keeps; `keyless` if nobody but this machine can reach it.
    pub(crate) fn of_api(&self, keyless: bool) -> ApiSettings {
        ApiSettings {
            keyless,
            input_bytes_max: self.input.as_usize(),
            body_bytes_max: self.body.as_usize(),
            bodies_bytes_max: self.bodies.as_usize(),
            batch_max: self.batch,
            connections_max: self.connections,
            wait_max: self.wait,
            ..ApiSettings::default()
        }
    }
}
