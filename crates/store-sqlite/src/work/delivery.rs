use std::collections::HashMap;

use raincheck_core::{JobId, Tenant, Time};
use raincheck_store::{
    DELIVERIES_LOOKED_AT, DeliveryRequest, Due, DueDeliveries, Tried, UNHEARD, UNHEARD_MAX, WebhookSecrets,
};

use crate::fault::Fault;
use crate::table::delivery::Pending;
use crate::table::webhook_secret;
use crate::work::Work;
use crate::writer::Writer;

/// Takes deliveries that are due.
pub(crate) struct ClaimDeliveries {
    pub(crate) request: DeliveryRequest,
    pub(crate) now: Time,
}

/// A claim in the making.
struct Taking<'r> {
    request: &'r DeliveryRequest,
    now: Time,
    /// How many were taken for each endpoint.
    taken: HashMap<String, usize>,
    due: Vec<Due>,
    after: String,
}

impl Work for ClaimDeliveries {
    type Answer = DueDeliveries;

    fn run(&self, writer: &mut Writer<'_>) -> Result<DueDeliveries, Fault> {
        let Self { request, now } = self;
        let after = request.after.clone();
        let mut taking = Taking { request, now: *now, taken: HashMap::new(), due: Vec::new(), after };
        let first = writer.tables.delivery.due(*now, DELIVERIES_LOOKED_AT)?;
        let is_all = first.len() < DELIVERIES_LOOKED_AT;
        for pending in first {
            taking.take(pending, writer)?;
        }
        if !is_all {
            taking.take_turns(writer)?;
        }
        let next_due = if taking.is_full() { Some(*now) } else { writer.tables.delivery.next_due(*now)? };
        Ok(DueDeliveries { due: taking.due, next_due, after: taking.after })
    }
}

impl Taking<'_> {
    fn is_full(&self) -> bool {
        self.due.len() >= self.request.max
    }

    /// How many more may be taken for an endpoint.
    fn room(&self, endpoint: &str) -> usize {
        let room = self.request.room.get(endpoint).copied().unwrap_or(self.request.per_endpoint);
        let left = self.request.max.saturating_sub(self.due.len());
        room.saturating_sub(self.taken.get(endpoint).copied().unwrap_or(0)).min(left)
    }

    /// Takes a delivery, if there is room for it.
    fn take(&mut self, pending: Pending, writer: &mut Writer<'_>) -> Result<(), Fault> {
        let Pending { job, endpoint, claim, unheard, tries } = pending;
        if self.room(&endpoint) == 0 {
            return Ok(());
        }
        if unheard >= UNHEARD_MAX {
            return Ok(writer.tables.delivery.give_up(job.key(), UNHEARD, self.now)?);
        }
        writer.tables.delivery.take(job.key(), &self.request.worker, self.request.until)?;
        *self.taken.entry(endpoint.clone()).or_default() += 1;
        self.due.push(Due { job, endpoint, claim: claim + 1, tries });
        Ok(())
    }

    /// Lets endpoints have their turns: those behind the one that had the last, and then those from the first to that one.
    fn take_turns(&mut self, writer: &mut Writer<'_>) -> Result<(), Fault> {
        let mut is_behind = true;
        for _ in 0..DELIVERIES_LOOKED_AT {
            let mut next = writer.tables.delivery.next_endpoint(&self.after)?;
            if is_behind && next.is_none() {
                is_behind = false;
                next = writer.tables.delivery.next_endpoint("")?;
            }
            let Some(endpoint) = next.filter(|next| is_behind || *next <= self.request.after) else { break };
            if self.is_full() {
                break;
            }
            for pending in writer.tables.delivery.due_of(&endpoint, self.now, self.room(&endpoint))? {
                self.take(pending, writer)?;
            }
            self.after = endpoint;
        }
        Ok(())
    }
}

/// Notes what became of tries.
pub(crate) struct NoteDeliveries {
    pub(crate) tried: Vec<Tried>,
    pub(crate) now: Time,
}

impl Work for NoteDeliveries {
    type Answer = ();

    fn run(&self, writer: &mut Writer<'_>) -> Result<(), Fault> {
        for tried in &self.tried {
            if writer.exists(tried.job, None)? {
                writer.tables.delivery.note(tried, self.now)?;
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.tried.iter().map(|tried| 128 + tried.answer.len()).sum()
    }
}

/// The end of a job is delivered anew.
pub(crate) struct DeliverAgain {
    pub(crate) job: JobId,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) now: Time,
}

impl Work for DeliverAgain {
    type Answer = bool;

    fn run(&self, writer: &mut Writer<'_>) -> Result<bool, Fault> {
        Ok(writer.exists(self.job, self.tenant.as_ref())? && writer.tables.delivery.again(self.job.key(), self.now)?)
    }
}

/// Gives a tenant's webhooks a secret: one more, or their first if they have none.
pub(crate) struct SetSecret {
    pub(crate) tenant: Tenant,
    pub(crate) fresh: [u8; 32],
    /// Until when the one before signs as well; `None` keeps the one there is.
    pub(crate) overlap: Option<Time>,
}

impl Work for SetSecret {
    type Answer = WebhookSecrets;

    fn run(&self, writer: &mut Writer<'_>) -> Result<WebhookSecrets, Fault> {
        let connection = writer.tables.connection;
        let known = webhook_secret::get(connection, &self.tenant)?;
        let secrets = match (known, self.overlap) {
            (Some(known), None) => return Ok(known),
            (Some(known), Some(until)) => {
                WebhookSecrets { current: self.fresh, previous: Some((known.current, until)) }
            }
            (None, _) => WebhookSecrets { current: self.fresh, previous: None },
        };
        webhook_secret::set(connection, &self.tenant, &secrets)?;
        Ok(secrets)
    }
}
