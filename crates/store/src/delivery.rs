use std::collections::BTreeMap;

use raincheck_core::{JobId, Time, WorkerId};

/// How many deliveries that are due a store looks at for one claim, and how many endpoints besides.
pub const DELIVERIES_LOOKED_AT: usize = 256;

/// A delivery that was taken so often without a word of what became of it is given up: it is likely what kills whoever takes it.
pub const UNHEARD_MAX: u32 = 20;

/// What is noted of a delivery that is given up for that.
pub const UNHEARD: &str = "the server died again and again while it told this";

/// A wish for deliveries to make: the ends of jobs that their webhooks are to be told.
#[derive(Clone, Debug)]
pub struct DeliveryRequest {
    /// Who will make them.
    pub worker: WorkerId,
    /// How many in all.
    pub max: usize,
    /// How many for one endpoint.
    pub per_endpoint: usize,
    /// Endpoints for which there is less room, and how much.
    pub room: BTreeMap<String, usize>,
    /// Where more is due than is looked at, endpoints take turns: begin behind this one, the last of the claim before.
    pub after: String,
    /// When what is given is due again, should nobody say what became of it.
    pub until: Time,
}

/// Deliveries to make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DueDeliveries {
    /// These, now taken.
    pub due: Vec<Due>,
    /// When the next will be due; `now` if more may be due already.
    pub next_due: Option<Time>,
    /// The endpoint that had its turn last.
    pub after: String,
}

/// A delivery to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The job that has ended.
    pub job: JobId,
    /// Whom to tell.
    pub endpoint: String,
    /// Grows each time it is taken: what becomes of it is noted only for the last.
    pub claim: u64,
    /// How often it was tried before.
    pub tries: u32,
}

/// What became of a delivery that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The job.
    pub job: JobId,
    /// See [`Due::claim`].
    pub claim: u64,
    /// What the endpoint said, in a few words.
    pub answer: String,
    /// What follows.
    pub then: Then,
}

/// What follows when a delivery was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing: the endpoint took it. Noted whenever it is heard.
    Delivered,
    /// Another try, no sooner than this.
    Again(Time),
    /// The same try, no sooner than this: the endpoint was not told anything, through no fault of its own.
    Later(Time),
    /// Nothing: it is given up.
    GivenUp,
}

/// How far the delivery of a job's end is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// How often it was tried, as far as is known.
    pub tries: u32,
    /// Where it stands.
    pub state: DeliveryState,
    /// What the endpoint said last, and when.
    pub last: Option<(Time, String)>,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// To be tried, no sooner than this.
    Pending(Time),
    /// Taken by the endpoint.
    Delivered,
    /// Tried often enough, or the endpoint wants no more.
    GivenUp,
}

/// The secrets with which what a tenant's webhooks are told is signed. Both sign while there are two, so that a receiver
/// can change from one to the other in its own time.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecrets {
    /// The secret.
    pub current: [u8; 32],
    /// The one before, and until when it signs as well.
    pub previous: Option<([u8; 32], Time)>,
}

impl std::fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecrets(…)")
    }
}

impl WebhookSecrets {
    /// Those that sign at `now`.
    pub fn at(&self, now: Time) -> impl Iterator<Item = &[u8; 32]> {
        let previous = self.previous.iter().filter(move |(_, until)| now < *until).map(|(secret, _)| secret);
        std::iter::once(&self.current).chain(previous)
    }
}
