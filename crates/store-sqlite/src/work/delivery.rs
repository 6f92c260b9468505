use raincheck_core::{JobId, Tenant, Time};
use raincheck_store::{DeliveryRequest, Due, DueDeliveries, ENDPOINTS_LOOKED_AT, Tried, WebhookSecrets};

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

impl Work for ClaimDeliveries {
    type Answer = DueDeliveries;

    fn run(&self, writer: &mut Writer<'_>) -> Result<DueDeliveries, Fault> {
        let Self { request, now } = self;
        let mut claimed = DueDeliveries { after: request.after.clone(), ..DueDeliveries::default() };
        // Behind the one that was last, and then from the first to that one.
        let mut is_behind = true;
        for looked in 0.. {
            let mut next = writer.tables.delivery.next_endpoint(&claimed.after)?;
            if is_behind && next.is_none() {
                is_behind = false;
                next = writer.tables.delivery.next_endpoint("")?;
            }
            let Some(endpoint) = next.filter(|next| is_behind || *next <= request.after) else { break };
            if looked == ENDPOINTS_LOOKED_AT || claimed.due.len() >= request.max {
                claimed.next_due = Some(*now);
                break;
            }
            let room = request.room.get(&endpoint).copied().unwrap_or(request.per_endpoint);
            if room > 0 {
                let max = room.min(request.max - claimed.due.len());
                writer.claim_deliveries_of(&endpoint, max, request, *now, &mut claimed)?;
            }
            claimed.after = endpoint;
        }
        Ok(claimed)
    }
}

impl Writer<'_> {
    fn claim_deliveries_of(
        &mut self,
        endpoint: &str,
        max: usize,
        request: &DeliveryRequest,
        now: Time,
        claimed: &mut DueDeliveries,
    ) -> Result<(), Fault> {
        let first = self.tables.delivery.pending(endpoint, max)?;
        for Pending { job, due_at, tries } in first {
            if due_at > now {
                claimed.next_due = Some(claimed.next_due.map_or(due_at, |next| next.min(due_at)));
                break;
            }
            self.tables.delivery.take(job.key(), &request.worker, request.until)?;
            claimed.due.push(Due { job, endpoint: endpoint.to_owned(), number: tries + 1 });
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
