//! API keys: `rc_<id>_<secret><checksum>`.
//!
//! The id (16 characters) finds the key in the store. The secret (52 characters, 256 random bits) is shown once and only
//! its SHA-256 is kept. The checksum (6 characters) tells a mistyped key without asking anybody, and lets scanners of
//! leaked secrets recognise one. All parts are RFC 4648 base 32 in lower case, which is easy to select and to read out.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const PREFIX: &str = "rc_";
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const ID_LENGTH: usize = 16;
const SECRET_LENGTH: usize = 52;
const CHECKSUM_LENGTH: usize = 6;

/// How many random bytes a key is made of.
pub const RANDOM_BYTES: usize = 42;

/// A key just made.
#[derive(Clone)]
pub struct NewKey {
    /// The public part.
    pub id: String,
    /// What the client is given. Not to be kept or logged.
    pub text: String,
    /// What is kept: see [`raincheck_store::ApiKey::hash`].
    pub hash: [u8; 32],
}

/// Makes a key of random bytes: 10 for the id, 32 for the secret.
#[must_use]
pub fn generate(random: &[u8; RANDOM_BYTES]) -> NewKey {
    let (id, secret) = random.split_at(10);
    let (id, secret) = (base32(id), base32(secret));
    let unchecked = format!("{PREFIX}{id}_{secret}");
    NewKey { hash: hash(&secret), text: format!("{unchecked}{}", checksum(&unchecked)), id }
}

/// A key as a client presents it, well-formed but not yet known to be any good.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    id: &'a str,
    secret: &'a str,
}

impl<'a> Presented<'a> {
    /// Reads a key; `None` if it is malformed or its checksum is wrong.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (id, rest) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let well_formed = id.len() == ID_LENGTH
            && rest.len() == SECRET_LENGTH + CHECKSUM_LENGTH
            && id.bytes().chain(rest.bytes()).all(|byte| ALPHABET.contains(&byte));
        if !well_formed {
            return None;
        }
        let (unchecked, sum) = text.split_at(text.len() - CHECKSUM_LENGTH);
        (checksum(unchecked) == sum).then_some(Self { id, secret: &rest[..SECRET_LENGTH] })
    }

    /// The public part, by which the key is found.
    #[must_use]
    pub fn id(&self) -> &'a str {
        self.id
    }

    /// Whether its secret is the one that was hashed. Takes the same time whatever differs.
    #[must_use]
    pub fn matches(&self, stored: &[u8; 32]) -> bool {
        hash(self.secret).ct_eq(stored).into()
    }
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn checksum(unchecked: &str) -> String {
    let mut sum = base32(&Sha256::digest(unchecked.as_bytes())[..4]);
    sum.truncate(CHECKSUM_LENGTH);
    sum
}

fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(digit(held >> bits));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(digit(held << (5 - bits)));
    }
    text
}

fn digit(value: u32) -> char {
    char::from(ALPHABET[(value & 31) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> NewKey {
        generate(&std::array::from_fn(|at| u8::try_from(at * 5).unwrap()))
    }

    #[test]
    fn a_key_is_recognised_by_its_hash() {
        let key = key();
        let presented = Presented::parse(&key.text).unwrap();
        assert_eq!(presented.id(), key.id);
        assert!(presented.matches(&key.hash));
        assert!(!presented.matches(&[0; 32]));
    }

    #[test]
    fn the_form_is_stable() {
        assert_eq!(key().text, "rc_aacqudyudepcgkbn_gi3tyqkgjnifkws7mruw443ypwbipders2n2bjnkv62ltpwdzdgqjfn63w");
        assert_eq!(base32(b"foobar"), "mzxw6ytboi");
    }

    #[test]
    fn whatever_is_mistyped_is_noticed() {
        let text = key().text;
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
            assert!(Presented::parse(std::str::from_utf8(&bytes).unwrap()).is_none(), "at {at}");
        }
        for bad in ["", "rc_", "rc__", &text[..text.len() - 1], &format!("{text}a"), &text.to_uppercase(), "rc_ä_ö"] {
            assert!(Presented::parse(bad).is_none(), "{bad}");
        }
    }
}
