use std::time::Duration;

use raincheck_blob::BucketConfig;

use super::reader::{Reader, Section};
use super::size::Size;
use super::value::{Hidden, Value, one_of, word_of};

/// Links last at most so long, by the rules of S3.
const LINK_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);
/// With less no file of OpenAI's largest size could come.
const SPOOL_MIN: Size = Size(512 << 20);

/// `[blobs]`: where the bytes of files are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blobs {
    /// What keeps them.
    pub(crate) place: BlobPlace,
    /// How much may wait in the data directory for the bucket.
    pub(crate) spool: Size,
    /// How downloads are answered.
    downloads: Downloads,
    /// How long presigned links last.
    link_lifetime: Duration,
}

/// What keeps the bytes of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BlobPlace {
    /// The data directory.
    Directory,
    /// A bucket of S3.
    Bucket(BucketConfig),
}

/// The words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    Directory,
    S3,
}

/// How downloads of files are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Downloads {
    Stream,
    Presigned,
}

const STORES: &[(&str, Store)] = &[("directory", Store::Directory), ("s3", Store::S3)];
const DOWNLOADS: &[(&str, Downloads)] = &[("stream", Downloads::Stream), ("presigned", Downloads::Presigned)];

impl Value for Store {
    fn from_text(text: &str) -> Result<Self, String> {
        one_of(text, STORES)
    }

    fn show(&self) -> String {
        word_of(self, STORES)
    }
}

impl Value for Downloads {
    fn from_text(text: &str) -> Result<Self, String> {
        one_of(text, DOWNLOADS)
    }

    fn show(&self) -> String {
        word_of(self, DOWNLOADS)
    }
}

impl Default for Blobs {
    fn default() -> Self {
        Self {
            place: BlobPlace::Directory,
            spool: Size(4 << 30),
            downloads: Downloads::Stream,
            link_lifetime: Duration::from_secs(300),
        }
    }
}

impl Blobs {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let default = Self::default();
        let mut section = reader.section("blobs");
        let store = section.get("store", Store::Directory);
        let lasts = |life: &Duration| (Duration::from_secs(1)..=LINK_MAX).contains(life);
        let spool = section.get_if("spool", default.spool, |spool| *spool >= SPOOL_MIN, "must be at least 512 MiB");
        let downloads = section.get("downloads", default.downloads);
        let link_lifetime = section.get_if("link_lifetime", default.link_lifetime, lasts, "must be from 1s to 7d");
        let bucket = bucket(&mut section, store == Store::S3);
        if store == Store::Directory && downloads == Downloads::Presigned {
            section.wrong("downloads", "a directory has no links; take \"stream\", or a bucket with store = \"s3\"");
        }
        let place = if store == Store::S3 { BlobPlace::Bucket(bucket) } else { BlobPlace::Directory };
        Self { place, spool, downloads, link_lifetime }
    }

    /// How long the links of downloads last, if downloads are links.
    pub(crate) fn link_lifetime(&self) -> Option<Duration> {
        (self.downloads == Downloads::Presigned).then_some(self.link_lifetime)
    }
}

fn bucket(section: &mut Section<'_, '_>, is_used: bool) -> BucketConfig {
    let is_address = |text: &String| {
        let uri: Option<hyper::Uri> = text.parse().ok();
        let is_base = |uri: hyper::Uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.path() == "/" && uri.query().is_none()
        };
        text.is_empty() || uri.is_some_and(is_base)
    };
    let is_bucket = |name: &str| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.' || byte == b'-';
        (3..=63).contains(&name.len()) && name.bytes().all(allowed)
    };
    let endpoint_must = "must be an address such as https://s3.example.com, without a path";
    let bucket: String = section.get("bucket", String::new());
    let region = section.get("region", "us-east-1".to_owned());
    let endpoint = section.get_if("endpoint", String::new(), is_address, endpoint_must);
    let path_style = section.get("path_style", true);
    let prefix = section.get("prefix", String::new());
    let access_key_id = key(section, is_used, ["access_key_id", "access_key_id_env"]);
    let secret_access_key = key(section, is_used, ["secret_access_key", "secret_access_key_env"]);
    match bucket.is_empty() {
        true if is_used => section.wrong("bucket", "store = \"s3\" needs the name of a bucket"),
        false if !is_bucket(&bucket) => section.wrong("bucket", "a bucket's name has 3 to 63 of a-z 0-9 . -"),
        _ => {}
    }
    if is_used && region.is_empty() {
        section.wrong("region", "requests are signed for a region; us-east-1 is taken by most services that have none");
    }
    let endpoint = (!endpoint.is_empty()).then_some(endpoint);
    BucketConfig { bucket, region, endpoint, path_style, prefix, access_key_id, secret_access_key }
}

/// One half of the key: as it stands, or in the environment variable that is named.
fn key(section: &mut Section<'_, '_>, is_used: bool, [key, key_env]: [&'static str; 2]) -> String {
    let Hidden(written) = section.get(key, Hidden::default());
    let variable: String = section.get(key_env, String::new());
    match (written.is_empty(), variable.is_empty()) {
        (false, false) => section.wrong(key, &format!("give {key} or {key_env}, not both")),
        (true, true) if is_used => section.wrong(key, &format!("store = \"s3\" needs {key} or {key_env}")),
        (true, false) if is_used => match std::env::var(&variable) {
            Ok(value) if !value.is_empty() => return value,
            _ => section.wrong(key_env, &format!("the environment variable {variable} is not set")),
        },
        _ => {}
    }
    written
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Layers, Wrong};
    use super::*;

    fn load(text: &str) -> Result<(Blobs, String), Wrong> {
        let loaded = Config::load(&Layers { file: Some(("r.toml".into(), text.into())), ..Layers::default() })?;
        let shown = loaded.settings.iter().map(|setting| setting.value.clone()).collect();
        Ok((loaded.config.blobs, shown))
    }

    #[test]
    fn a_bucket_is_read_and_its_key_is_not_shown() {
        let text = "[blobs]\nstore = \"s3\"\nbucket = \"files\"\nendpoint = \"http://127.0.0.1:9000\"\n\
                    access_key_id = \"canary-id\"\nsecret_access_key = \"canary\"\ndownloads = \"presigned\"\n";
        let (blobs, shown) = load(text).unwrap();
        let BlobPlace::Bucket(bucket) = &blobs.place else { panic!("{blobs:?}") };
        assert_eq!((&*bucket.access_key_id, &*bucket.secret_access_key), ("canary-id", "canary"));
        assert_eq!((blobs.link_lifetime(), bucket.path_style), (Some(Duration::from_secs(300)), true));
        assert!(!shown.contains("canary") && !format!("{blobs:?}").contains("canary"), "{shown}");
    }

    #[test]
    fn everything_wrong_is_told_at_once_and_without_keys() {
        let text = "[blobs]\nstore = \"s3\"\nbucket = \"Files\"\nendpoint = \"s3.example.com\"\nspool = \"1 MiB\"\n\
                    secret_access_key = \"canary\" \nsecret_access_key_env = \"X\"\nlink_lifetime = \"8d\"\n";
        insta::assert_snapshot!(load(text).unwrap_err().to_string());
        let text = "[blobs]\nsecret_access_key = 7\ndownloads = \"presigned\"\n";
        insta::assert_snapshot!("directory", load(text).unwrap_err().to_string());
    }
}
