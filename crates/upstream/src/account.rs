use sha2::{Digest, Sha256};

use crate::{Secret, UpstreamConfig};

/// What a provider counts by, and what it is said here to allow: an address, a key, a model and limits. Gates for which all of
/// that is the same count together. It gives away none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Account([u8; 32]);

impl Account {
    /// The account of this key at an upstream.
    pub(crate) fn new(config: &UpstreamConfig, key: Option<&Secret>, model: &str) -> Self {
        let UpstreamConfig { protocol, base_url, concurrency, requests_per_minute, tokens_per_minute, .. } = config;
        let place = format!(
            "{}://{}",
            base_url.scheme_str().unwrap_or_default(),
            base_url.authority().map(|authority| authority.as_str().to_ascii_lowercase()).unwrap_or_default()
        );
        let limits = format!("{concurrency:?} {requests_per_minute:?} {tokens_per_minute:?}");
        let parts = [
            protocol.as_str(),
            &place,
            base_url.path().trim_end_matches('/'),
            // No key is another account than an empty one.
            if key.is_some() { "key" } else { "" },
            key.map_or("", Secret::reveal),
            model,
            &limits,
        ];
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protocol;

    #[test]
    fn an_account_is_an_address_a_key_a_model_and_limits() {
        let config = |url: &str| UpstreamConfig::new(Protocol::Openai, url.parse().unwrap());
        let key = |text: &str| Secret::new(text.to_owned());
        let plain = config("https://models.example/v1");
        let account = Account::new(&plain, Some(&key("k")), "m");
        assert_eq!(account, Account::new(&config("https://MODELS.example/v1/"), Some(&key("k")), "m"));
        let mut strict = plain.clone();
        strict.requests_per_minute = Some(1);
        for other in [
            Account::new(&plain, Some(&key("k2")), "m"),
            Account::new(&plain, None, "m"),
            Account::new(&plain, Some(&key("k")), "m2"),
            Account::new(&config("https://models.example/v2"), Some(&key("k")), "m"),
            Account::new(&config("http://models.example/v1"), Some(&key("k")), "m"),
            Account::new(&strict, Some(&key("k")), "m"),
        ] {
            assert_ne!(account, other);
        }
    }
}
