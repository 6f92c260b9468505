use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use crate::conversations::{
    ConversationRequest, ConversationView, ConversationsPage, MessageRequest, MessageView, MessagesPage,
};
use crate::health::Health;
use crate::jobs::{BatchReply, BatchRequest, CancelRequest, EventsPage, JobRequest, JobView, JobsPage};
use crate::kinds::KindsReply;
use crate::leases::{
    AppendReply, AppendRequest, ClaimReply, FinishReply, FinishRequest, HeartbeatReply, HeartbeatRequest, LeaseRequest,
};
use crate::problem::ProblemBody;
use crate::queues::{QueueView, QueuesReply};
use crate::upstreams::UpstreamsReply;
use crate::webhooks::{DeliveryView, SecretView};

/// Every schema that an operation refers to, by name. `kinds` are those that jobs can be of.
pub(super) fn all(kinds: &[&str]) -> Map<String, Value> {
    let settings =
        || SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut read = settings().for_deserialize().into_generator();
    define::<JobRequest>(&mut read);
    define::<BatchRequest>(&mut read);
    define::<CancelRequest>(&mut read);
    define::<ConversationRequest>(&mut read);
    define::<MessageRequest>(&mut read);
    define::<LeaseRequest>(&mut read);
    define::<HeartbeatRequest>(&mut read);
    define::<AppendRequest>(&mut read);
    define::<FinishRequest>(&mut read);
    let mut written = settings().for_serialize().into_generator();
    define::<JobView<'_>>(&mut written);
    define::<JobsPage<'_>>(&mut written);
    define::<BatchReply<'_>>(&mut written);
    define::<EventsPage<'_>>(&mut written);
    define::<ConversationView<'_>>(&mut written);
    define::<ConversationsPage<'_>>(&mut written);
    define::<MessageView<'_>>(&mut written);
    define::<MessagesPage<'_>>(&mut written);
    define::<KindsReply<'_>>(&mut written);
    define::<QueueView>(&mut written);
    define::<QueuesReply>(&mut written);
    define::<UpstreamsReply>(&mut written);
    define::<ClaimReply<'_>>(&mut written);
    define::<HeartbeatReply>(&mut written);
    define::<AppendReply>(&mut written);
    define::<FinishReply>(&mut written);
    define::<DeliveryView>(&mut written);
    define::<SecretView>(&mut written);
    define::<Health>(&mut written);
    define::<ProblemBody<'_>>(&mut written);
    let mut schemas = read.take_definitions(true);
    schemas.extend(written.take_definitions(true));
    if let Some(kind) = schemas.get_mut("JobRequest").and_then(|schema| schema.pointer_mut("/properties/kind")) {
        kind["enum"] = json!(kinds);
    }
    schemas
}

fn define<T: JsonSchema>(generator: &mut SchemaGenerator) {
    drop(generator.subschema_for::<T>());
}
