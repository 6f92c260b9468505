use std::path::Path;

use raincheck::wiring::UPLOADS;
use raincheck_blob::{Blobs, Bucket, BucketConfig, Trouble};

use crate::config::{BlobPlace, Config};
use crate::exit::{Exit, Failure};

/// Opens the files that the configuration says. A bucket that cannot be reached is no reason not to start: what comes waits for it.
/// One that refuses is, for it would refuse everything.
///
/// # Errors
/// If the directory cannot be used, or the bucket refuses.
pub(crate) async fn open(config: &Config, directory: &Path) -> Result<Blobs, Failure> {
    let root = directory.join(UPLOADS);
    let unusable = |error: std::io::Error| {
        Failure::new(Exit::DataDirectory, format!("{} cannot be used: {error}", directory.display()))
    };
    let BlobPlace::Bucket(place) = &config.blobs.place else { return Blobs::open(root).map_err(unusable) };
    let name = &place.bucket;
    let bucket = Bucket::new(place)
        .map_err(|error| Failure::new(Exit::Failed, format!("the bucket {name} cannot be used: {error}")))?;
    match bucket.check().await {
        Err(trouble) if trouble.is_refusal() => return Err(refused(place, &trouble)),
        Err(trouble) => {
            tracing::warn!(bucket = %name, error = %trouble, "the bucket of the files cannot be reached; they wait here until it can");
        }
        Ok(()) => {}
    }
    Blobs::open_in_bucket(root, bucket, config.blobs.spool.0).map_err(unusable)
}

/// Which setting is probably wrong.
fn refused(place: &BucketConfig, trouble: &Trouble) -> Failure {
    let BucketConfig { bucket, region, .. } = place;
    let message = format!("the bucket {bucket} refuses to keep files: {trouble}");
    let hint = match &*trouble.code {
        "NoSuchBucket" => format!("make the bucket {bucket}, or mend bucket, endpoint or path_style in [blobs]"),
        "InvalidAccessKeyId" | "NotSignedUp" => "mend access_key_id in [blobs]: nobody has that one there".to_owned(),
        "SignatureDoesNotMatch" => "mend secret_access_key in [blobs]: it is not that of access_key_id".to_owned(),
        "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException" => {
            format!("mend region in [blobs]: the bucket is not in {region}")
        }
        "RequestTimeTooSkewed" => "set the clock of this machine".to_owned(),
        _ => "the key must be allowed to put, get and delete objects there (docs/blobs.md)".to_owned(),
    };
    Failure::new(Exit::Usage, message).hint(hint)
}
