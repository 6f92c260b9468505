use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use raincheck_blob::FileId;
use raincheck_core::{Tenant, Time};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

/// Where the secret is, in the data directory.
const SECRET: &str = "links.key";
const SECRET_LENGTH: usize = 32;
/// A link is good for so long at most: one that expires later is none.
pub(crate) const LIFE_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Makes links by which a file is had without a key, for a time: such as a browser needs that shows a picture. Whoever has the
/// link has the file, so it is given only to those who may have it.
#[derive(Clone)]
pub struct Links(hmac::Key);

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Links(…)")
    }
}

/// Why a link leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadLink {
    /// Its time has passed.
    Expired,
    /// It is not one of ours, or was changed.
    Forged,
}

impl Links {
    /// Links of a server that keeps its secret in this directory, where it is made if need be. Without it every link that was
    /// given out is worth nothing.
    ///
    /// # Errors
    /// If the secret can be neither read nor kept.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let place = directory.join(SECRET);
        let secret = match fs::read(&place) {
            Ok(secret) => secret,
            Err(error) if error.kind() == ErrorKind::NotFound => keep(directory, &place)?,
            Err(error) => return Err(error),
        };
        if secret.len() != SECRET_LENGTH {
            let detail =
                format!("{} should have {SECRET_LENGTH} bytes; remove it to have a new one made", place.display());
            return Err(io::Error::new(ErrorKind::InvalidData, detail));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &secret)))
    }

    /// The path, with its query, at which a file of the tenant is had until it expires: within seven days, or it is had by
    /// nobody.
    #[must_use]
    pub fn sign(&self, tenant: &Tenant, file: &FileId, expires: Time) -> String {
        let seconds = expires.as_millis().div_euclid(1_000);
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, &signed(tenant, file, seconds)));
        // Names of tenants and files have nothing in them that a query could not.
        format!("/files/{file}?tenant={tenant}&expires={seconds}&signature={signature}")
    }

    /// Whether a link with this signature is good now.
    pub(crate) fn check(
        &self,
        tenant: &Tenant,
        file: &FileId,
        expires: i64,
        signature: &str,
        now: Time,
    ) -> Result<(), BadLink> {
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| BadLink::Forged)?;
        hmac::verify(&self.0, &signed(tenant, file, expires), &signature).map_err(|_| BadLink::Forged)?;
        let (now, last) = [now, now.after(LIFE_MAX)].map(|time| time.as_millis().div_euclid(1_000)).into();
        match expires {
            past if past <= now => Err(BadLink::Expired),
            late if late > last => Err(BadLink::Forged),
            _ => Ok(()),
        }
    }
}

/// No tenant, file or number has a line's end in it: what is signed says one thing only.
fn signed(tenant: &Tenant, file: &FileId, expires: i64) -> Vec<u8> {
    format!("file link\n{tenant}\n{file}\n{expires}").into_bytes()
}

/// Makes a secret and keeps it. It is there whole or not at all, and nobody else may read it.
fn keep(directory: &Path, place: &Path) -> io::Result<Vec<u8>> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut secret = vec![0; SECRET_LENGTH];
    SystemRandom::new().fill(&mut secret).map_err(|_| io::Error::other("the system gives no random bytes"))?;
    let fresh = place.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    fs::rename(&fresh, place)?;
    fs::File::open(directory)?.sync_all()?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_800_000_000_500);

    /// What the query of a link says when it expires, and its signature.
    fn parts(link: &str) -> (i64, String) {
        let part = |name: &str| link.split(['?', '&']).find_map(|part| part.strip_prefix(name)).unwrap().to_owned();
        (part("expires=").parse().unwrap(), part("signature="))
    }

    #[test]
    fn a_link_is_good_for_its_file_and_its_time_alone() {
        let place = tempfile::tempdir().unwrap();
        let links = Links::open(place.path()).unwrap();
        let (tenant, other) = ("voice".parse().unwrap(), "other".parse().unwrap());
        let [file, another] = [1, 2].map(|number| FileId::new(NOW, number));
        let link = links.sign(&tenant, &file, NOW.after(Duration::from_secs(60)));
        let (expires, signature) = parts(&link);
        assert!(link.starts_with(&format!("/files/{file}?tenant=voice&expires={expires}&signature=")), "{link}");
        let check = |tenant, file, expires, at| links.check(tenant, file, expires, &signature, at);
        assert_eq!(check(&tenant, &file, expires, NOW), Ok(()));
        assert_eq!(check(&tenant, &file, expires, NOW.after(Duration::from_secs(60))), Err(BadLink::Expired));
        assert_eq!(check(&other, &file, expires, NOW), Err(BadLink::Forged));
        assert_eq!(check(&tenant, &another, expires, NOW), Err(BadLink::Forged));
        assert_eq!(check(&tenant, &file, expires + 1, NOW), Err(BadLink::Forged));
        assert_eq!(links.check(&tenant, &file, expires, "", NOW), Err(BadLink::Forged));
        assert_eq!(links.check(&tenant, &file, expires, "*", NOW), Err(BadLink::Forged));
    }

    #[test]
    fn no_link_is_good_for_long() {
        let place = tempfile::tempdir().unwrap();
        let links = Links::open(place.path()).unwrap();
        let (tenant, file) = (Tenant::default(), FileId::new(NOW, 1));
        for (life, good) in [(LIFE_MAX, true), (LIFE_MAX + Duration::from_secs(1), false)] {
            let (expires, signature) = parts(&links.sign(&tenant, &file, NOW.after(life)));
            assert_eq!(links.check(&tenant, &file, expires, &signature, NOW).is_ok(), good, "{life:?}");
        }
    }

    #[test]
    fn the_secret_stays_and_is_nobody_elses() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = tempfile::tempdir().unwrap();
        let sign = |links: &Links| links.sign(&Tenant::default(), &FileId::new(NOW, 1), NOW);
        let link = sign(&Links::open(place.path()).unwrap());
        assert_eq!(sign(&Links::open(place.path()).unwrap()), link);
        let about = fs::metadata(place.path().join(SECRET)).unwrap();
        assert_eq!((about.len(), about.permissions().mode() & 0o777), (32, 0o600));
        fs::write(place.path().join(SECRET), "short").unwrap();
        assert!(Links::open(place.path()).is_err());
        let elsewhere = tempfile::tempdir().unwrap();
        assert_ne!(sign(&Links::open(elsewhere.path()).unwrap()), link);
    }
}
