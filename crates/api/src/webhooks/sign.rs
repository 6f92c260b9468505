use std::fmt::Write as _;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use raincheck_core::Time;
use raincheck_store::WebhookSecrets;
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair};
use sha2::{Digest, Sha256};

/// A secret as its owner is told it.
pub(crate) fn secret_text(secret: &[u8; 32]) -> String {
    format!("whsec_{}", STANDARD.encode(secret))
}

/// The headers by which a receiver knows a message to be ours, by the Standard Webhooks specification: its id, when it was
/// sent (in seconds since 1970), and a signature with each secret that is valid now.
pub(super) fn standard(id: &str, body: &[u8], secrets: &WebhookSecrets, now: Time) -> HeaderMap {
    let seconds = now.as_millis().div_euclid(1_000).to_string();
    let signature = |secret: &[u8; 32]| {
        let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
        [id.as_bytes(), b".", seconds.as_bytes(), b".", body].iter().for_each(|part| mac.update(part));
        format!("v1,{}", STANDARD.encode(mac.sign()))
    };
    let signatures = secrets.at(now).map(signature).collect::<Vec<_>>().join(" ");
    headers([("webhook-id", id.to_owned()), ("webhook-timestamp", seconds), ("webhook-signature", signatures)])
}

/// The headers by which those who verify FAL's webhooks do so: the signature is of the request's id, the user's, the time and
/// the hash of the body, with a key that [`fal_key`] tells: as long as a replaced secret signs, with that one's, because
/// receivers keep the keys that they know for a day.
pub(super) fn fal(request: &str, user: &str, body: &[u8], secrets: &WebhookSecrets, now: Time) -> HeaderMap {
    let seconds = now.as_millis().div_euclid(1_000).to_string();
    let message = format!("{request}\n{user}\n{seconds}\n{}", hex(&Sha256::digest(body)));
    let signature = secrets.at(now).last().and_then(key_pair).map(|pair| hex(pair.sign(message.as_bytes()).as_ref()));
    headers([
        ("x-fal-webhook-request-id", request.to_owned()),
        ("x-fal-webhook-user-id", user.to_owned()),
        ("x-fal-webhook-timestamp", seconds),
        ("x-fal-webhook-signature", signature.unwrap_or_default()),
    ])
}

/// The public key of the signatures of [`fal`], in the alphabet of JSON Web Keys.
pub(crate) fn fal_key(secret: &[u8; 32]) -> Option<String> {
    let pair = key_pair(secret)?;
    Some(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(pair.public_key()))
}

/// The key that goes with a secret: drawn from it, so that whoever knows the one does not know the other.
fn key_pair(secret: &[u8; 32]) -> Option<Ed25519KeyPair> {
    let seed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), b"raincheck webhooks ed25519");
    // Any 32 bytes are a seed.
    Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).ok()
}

fn headers<const N: usize>(pairs: [(&'static str, String); N]) -> HeaderMap {
    let header = |(name, value)| Some((HeaderName::from_static(name), HeaderValue::try_from(value).ok()?));
    pairs.into_iter().filter_map(header).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    fn secrets() -> WebhookSecrets {
        WebhookSecrets { current: [7; 32], previous: Some(([9; 32], Time::from_millis(2_000_000))) }
    }

    /// The example of the Standard Webhooks specification's own libraries.
    #[test]
    fn it_signs_as_the_standard_does() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let text = r#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
        let signature = STANDARD.encode(hmac::sign(&key, text.as_bytes()));
        assert_eq!(signature, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn both_secrets_sign_until_the_old_one_has_run_out() {
        let both = standard("evt_1", b"{}", &secrets(), Time::from_millis(1_999_999));
        assert_eq!(both["webhook-timestamp"], "1999");
        let signatures = both["webhook-signature"].to_str().unwrap().split(' ').collect::<Vec<_>>();
        assert_eq!(signatures.len(), 2);
        let one = standard("evt_1", b"{}", &secrets(), Time::from_millis(2_000_000));
        assert!(!one["webhook-signature"].to_str().unwrap().contains(' '));
    }

    #[test]
    fn what_fal_signs_is_verified_with_the_key_that_is_told() {
        let headers = fal("request", "user", b"{}", &secrets(), Time::from_millis(5_000));
        let hash = hex(&Sha256::digest(b"{}"));
        let message = format!("request\nuser\n5\n{hash}");
        let text = headers["x-fal-webhook-signature"].to_str().unwrap();
        let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        let signature: Vec<u8> = (0..text.len()).step_by(2).map(byte).collect();
        let key = fal_key(&secrets().previous.unwrap().0).unwrap();
        let key = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(key).unwrap();
        UnparsedPublicKey::new(&ED25519, key).verify(message.as_bytes(), &signature).unwrap();
    }
}
