//! Webhooks: what somebody else's server is told of a job. docs/webhooks.md says what is sent, and when.

mod delivery;
mod notifier;
mod secret;
mod sign;

use std::sync::Arc;

use raincheck_core::{Problem, ProblemType, WEBHOOK_URL_MAX, Webhook};

use crate::api::Api;

pub(crate) use delivery::{DeliveryView, delivery, redeliver};
pub(crate) use secret::{SecretView, rotate, secret};
pub(crate) use sign::{fal_key, secret_text};

/// The webhook at an address that a caller has chosen, if it may be told anything. `pointer` is where the address stood.
pub(crate) fn wanted(api: &Api, url: &str, pointer: &str) -> Result<Webhook, Problem> {
    let invalid = |detail: String| Problem::new(ProblemType::INVALID_REQUEST, detail).at(pointer);
    let Some(messenger) = &api.settings.doors.messenger else {
        return Err(invalid(
            "this server tells no webhooks; leave it out, and wait, poll or stream instead".to_owned(),
        ));
    };
    if url.len() > WEBHOOK_URL_MAX {
        return Err(invalid(format!("the address of a webhook has {WEBHOOK_URL_MAX} bytes at most")));
    }
    messenger
        .address(url)
        .map_err(|why| invalid(format!("the address of the webhook cannot be told anything: {why}")))?;
    Ok(Webhook::new(url.to_owned()))
}

/// From now on webhooks are told, if this server tells any.
pub(crate) fn begin(api: &Arc<Api>) {
    if let Some(messenger) = &api.settings.doors.messenger {
        api.engine.deliver_by(Arc::new(notifier::Post::new(api, messenger.clone())));
    }
}
