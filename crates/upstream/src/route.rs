use std::sync::Arc;

use raincheck_core::Lane;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::send::Upstream;
use crate::{Gate, Protocol, Secret};

/// Where a call goes: an upstream, the model that is called there, and the gate before it.
#[derive(Clone)]
pub struct Route {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) model: String,
    pub(crate) gate: Arc<Gate>,
    /// The caller's own key, which is sent in place of the upstream's.
    pub(crate) own_key: Option<Secret>,
}

/// Who served a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// The upstream.
    pub upstream: String,
    /// The model.
    pub model: String,
}

impl Route {
    /// Who will serve the call.
    #[must_use]
    pub fn served(&self) -> Served {
        Served { upstream: self.upstream.name.clone(), model: self.model.clone() }
    }

    /// The model that is called.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// How the upstream is called.
    #[must_use]
    pub fn config(&self) -> &crate::UpstreamConfig {
        &self.upstream.config
    }

    /// A name for the account that is called: another for another address or key. It gives away neither.
    #[must_use]
    pub fn account(&self) -> String {
        let config = &self.upstream.config;
        let key = config.api_key.as_ref().map_or("", |key| key.reveal());
        let mut hash = Sha256::new();
        for part in [config.base_url.to_string().as_bytes(), key.as_bytes()] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether its gate counts the tokens of a call, so that they have to be estimated.
    #[must_use]
    pub fn counts_tokens(&self) -> bool {
        self.gate.counts_tokens()
    }

    /// The gate before it.
    #[must_use]
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }
}

/// There is nowhere for a call to go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No upstream speaks the protocol.
    #[error("no upstream that speaks {0} is configured; the server's operator can add one as [upstream.NAME]")]
    NoneSpeaks(Protocol),
    /// No upstream has this name, or it speaks another protocol.
    #[error("there is no upstream {name:?} that speaks {protocol}; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What it should speak.
        protocol: Protocol,
        /// What there is, joined by commas.
        known: String,
    },
    /// The upstream that is named does not take the model.
    #[error("the upstream {name:?} does not take the model {model:?}; it takes {taken}")]
    NotTaken {
        /// The upstream.
        name: String,
        /// What was asked for.
        model: String,
        /// What it takes, joined by commas.
        taken: String,
    },
    /// No upstream takes the model.
    #[error("no upstream that speaks {protocol} takes the model {model:?}; there are: {known}")]
    NoModel {
        /// What was asked for.
        model: String,
        /// What the upstream should speak.
        protocol: Protocol,
        /// The models that there are, each with the upstream that takes it, joined by commas.
        known: String,
    },
}

/// The lane of an upstream and model: their names as far as they may stand in one, and a hash if that leaves something out.
pub(crate) fn lane(upstream: &str, model: &str) -> Lane {
    let whole = format!("{upstream}.{model}");
    whole.parse().unwrap_or_else(|_| {
        let plain = |letter: char| if letter.is_ascii_alphanumeric() || ".-_".contains(letter) { letter } else { '.' };
        let short: String = whole.chars().map(plain).take(54).collect();
        let digest: String =
            Sha256::digest(whole.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("{short}-{digest}").parse().expect("an upstream's name begins with a letter")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_named_after_what_it_leads_to() {
        assert_eq!(lane("openai", "gpt-5.2").as_str(), "openai.gpt-5.2");
        let flux = lane("fal", "fal-ai/flux/dev");
        assert!(flux.as_str().starts_with("fal.fal-ai.flux.dev-"), "{flux}");
        assert_ne!(flux, lane("fal", "fal-ai/flux.dev"));
        let long = lane("fal", &"x".repeat(300));
        assert!(long.as_str().len() <= 64);
        assert_ne!(long, lane("fal", &"x".repeat(301)));
    }
}
