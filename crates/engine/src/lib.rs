//! Makes jobs happen: takes them from a store under a lease, runs their handlers, keeps the leases alive, records what the
//! handlers say, tries again what failed, stops what is cancelled, wakes whoever follows a log, and does what is due.
//!
//! It knows no HTTP, no SQL and no store by name (`Arc<dyn Store>`), and leaves every rule to [`raincheck_core`]: what may
//! happen to a job is decided there, under the store's fence. Time comes from a [`Clock`], waiting from tokio (which a
//! test can pause), chance from [`Chance`], so that a whole engine can be simulated from a seed.
//!
//! ```text
//! submit ─► store ─► Hub ─► dispatcher ─► claim ─► attempt ─► handler
//!                     │                              │  ├─ progress, output, steps ─► recorder ─► store
//!                     └─► LogReader (SSE, wait)       │  └─ heartbeat (one for all attempts)
//!                                                    └─ ending ─► store ─► Hub
//! ```

mod approach;
mod attempt;
mod blocking;
mod chance;
mod clock;
mod context;
mod conversation;
mod deliver;
mod dispatcher;
mod engine;
mod handler;
mod heartbeat;
mod hub;
mod lag;
mod maintenance;
mod pace;
mod part;
mod reader;
mod recorder;
mod remote;
mod running;
mod settings;
mod stats;
mod submission;
mod tasks;
mod tell;

pub use blocking::{Blocking, BlockingContext, BlockingHandler, CHECK_TIME_MAX, CHECKS_MAX};
pub use chance::Chance;
pub use clock::{Clock, SystemClock};
pub use context::{Context, FOLLOW_UP_BYTES_MAX, Stop};
pub use conversation::{ConversationView, MESSAGES_BEFORE, MESSAGES_READ_MAX, TurnWish, check_content, check_metadata};
pub use deliver::{Notifier, SECRET_OVERLAP, Undelivered};
pub use engine::Engine;
pub use handler::{About, Failure, Handler, Registry};
pub use hub::Hub;
pub use part::Listener;
pub use raincheck_store::{FOLLOW_UPS_MAX, Idempotency};
pub use reader::LogReader;
pub use settings::Settings;
pub use stats::{DeliveryStats, KindStats, Stats};
pub use submission::{Submission, SubmitError, Submitted};
