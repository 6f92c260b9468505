//! What is so with buckets alone.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use raincheck_blob::{Blobs, Bucket, BucketConfig, UploadError};

use crate::s3::{KEY, KEY_ID, S3};
use crate::support::{Kept, SPOOL, config, until, wanted};

const PREFIX: &str = "some/prefix/voice";
const LIFE: Duration = Duration::from_secs(60);
/// More than goes in one part.
const TWO_PARTS: usize = 9 << 20;

/// What anybody gets at an address: status, headers that say what it is, and the body.
async fn fetch(url: &str) -> (u16, [String; 2], Bytes) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let reply = client.get(url.parse().unwrap()).await.unwrap();
    let header =
        |name: &str| reply.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let said = [header("content-disposition"), header("content-type")];
    (reply.status().as_u16(), said, reply.into_body().collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn a_link_is_good_until_it_expires() {
    let kept = Kept::in_bucket();
    kept.s3().down(true);
    let about = kept.put("voice", 1, b"abc").await;
    assert_eq!(kept.blobs.link(&about, LIFE).await.unwrap(), None, "the bucket does not have it yet");
    kept.s3().down(false);
    kept.settled().await;
    let link = kept.blobs.link(&about, LIFE).await.unwrap().unwrap();
    assert!(!link.contains(KEY), "{link}");
    let said = ["attachment".to_owned(), "application/octet-stream".to_owned()];
    assert_eq!(fetch(&link).await, (200, said, Bytes::from_static(b"abc")));
    // With another name, another signature, or none.
    let address = link.split_once('?').unwrap().0.to_owned();
    for wrong in [link.replace(&about.sha256, &"0".repeat(64)), link.replace("attachment", "inline"), address] {
        assert_eq!(fetch(&wrong).await.0, 403, "{wrong}");
    }
    let short = kept.blobs.link(&about, Duration::from_secs(1)).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(fetch(&short).await.0, 403);
    // It is made anew whenever it is asked for.
    let renewed = kept.blobs.link(&about, LIFE).await.unwrap().unwrap();
    assert_ne!(renewed, link);
    assert_eq!(fetch(&renewed).await.0, 200);
}

#[tokio::test]
async fn a_directory_has_no_links() {
    let kept = Kept::in_directory();
    let about = kept.put("voice", 1, b"abc").await;
    assert_eq!(kept.blobs.link(&about, LIFE).await.unwrap(), None);
}

#[tokio::test]
async fn while_the_bucket_is_down_everything_is_kept_and_served_here() {
    let mut kept = Kept::in_bucket();
    kept.s3().down(true);
    let about = kept.put("voice", 1, b"abc").await;
    assert_eq!(kept.read(&about).await.unwrap(), b"abc");
    // Also over a restart.
    kept.restart().await;
    assert_eq!((kept.read(&about).await.unwrap(), kept.blobs.due()), (b"abc".to_vec(), 1));
    kept.s3().down(false);
    kept.settled().await;
    let place = format!("{PREFIX}/{}", about.sha256);
    assert_eq!((kept.s3().objects(), kept.on_disk()), (vec![place], 0));
    // What is only there cannot be read while it is down, which is told as what it is.
    kept.s3().down(true);
    assert_eq!(kept.read(&about).await.unwrap_err().kind(), ErrorKind::NotConnected);
    // It can be removed all the same: the bucket is told later.
    assert!(kept.blobs.remove(&about.tenant, &about.id).await.unwrap());
    kept.restart().await;
    kept.s3().down(false);
    kept.settled().await;
    assert_eq!((kept.contents(), kept.on_disk()), (0, 0));
}

#[tokio::test]
async fn what_waits_for_the_bucket_is_bounded() {
    let kept = Kept::with_spool(1_000);
    kept.s3().down(true);
    kept.put("voice", 1, &[1; 900]).await;
    let mut upload = kept.blobs.begin(wanted("voice", 2), u64::MAX).await.unwrap();
    upload.write(&[2; 100]).await.unwrap();
    // What there never will be room for is refused at once; for other things it is waited.
    assert!(matches!(upload.write(&[2; 1_001]).await, Err(UploadError::NoRoom(1_000))));
    drop(upload);
    let mut upload = kept.blobs.begin(wanted("voice", 3), u64::MAX).await.unwrap();
    kept.s3().down(false);
    upload.write(&[3; 900]).await.unwrap();
    upload.finish().await.unwrap();
    kept.settled().await;
    assert_eq!((kept.contents(), kept.on_disk(), kept.unfinished()), (2, 0, 0));
    kept.put("voice", 4, &[4; 1_000]).await;
}

#[tokio::test]
async fn an_upload_in_parts_that_fails_is_taken_back_and_made_again() {
    let kept = Kept::in_bucket();
    kept.s3().fail(Some("partNumber=2"));
    let bytes = vec![5; TWO_PARTS];
    let about = kept.put("voice", 1, &bytes).await;
    until(|| kept.s3().asked().iter().any(|asked| asked.starts_with("DELETE"))).await;
    until(|| kept.s3().parts().is_empty()).await;
    assert!(kept.s3().objects().is_empty());
    kept.s3().fail(None);
    kept.settled().await;
    assert!(kept.read(&about).await.unwrap() == bytes);
    assert_eq!((kept.s3().parts().len(), kept.on_disk()), (0, 0));
}

/// Begins an upload in parts, and ends what carries it in the middle.
async fn cut_off(kept: &mut Kept, number: u8) -> std::sync::Arc<raincheck_blob::About> {
    kept.s3().hang(Some("partNumber=2"));
    let about = kept.put("voice", number.into(), &vec![number; TWO_PARTS]).await;
    until(|| kept.s3().parts().iter().any(|name| name.contains("part-1"))).await;
    kept.crash().await;
    kept.s3().hang(None);
    about
}

#[tokio::test]
async fn an_upload_in_parts_that_was_cut_off_by_a_crash_is_taken_back() {
    let mut kept = Kept::in_bucket();
    let about = cut_off(&mut kept, 1).await;
    kept.restart().await;
    kept.settled().await;
    let place = format!("{PREFIX}/{}", about.sha256);
    assert_eq!((kept.s3().parts().len(), kept.s3().objects(), kept.on_disk()), (0, vec![place], 0));
    // Also if nobody wants it any more.
    let about = cut_off(&mut kept, 2).await;
    kept.blobs.remove(&about.tenant, &about.id).await.unwrap();
    kept.restart().await;
    kept.settled().await;
    assert_eq!((kept.s3().parts().len(), kept.contents(), kept.on_disk()), (0, 1, 0));
}

#[tokio::test]
async fn what_is_there_already_is_not_written_again() {
    let kept = Kept::in_bucket();
    let contents = [b"abc".to_vec(), vec![5; TWO_PARTS]];
    for (number, bytes) in (0..).zip(&contents) {
        kept.put("voice", number, bytes).await;
        kept.settled().await;
    }
    let before = kept.s3().asked().len();
    for (number, bytes) in (10..).zip(&contents) {
        kept.put("voice", number, bytes).await;
        kept.settled().await;
    }
    let asked: Vec<String> = kept.s3().asked()[before..].iter().map(|asked| asked[..4].to_owned()).collect();
    assert_eq!(asked, ["PUT ", "HEAD"], "a conditional put that is refused, and a look");
}

#[tokio::test]
async fn files_of_a_directory_move_to_a_bucket() {
    let kept = Kept::in_directory();
    let about = kept.put("voice", 1, b"abc").await;
    let kept = kept.moved_to(S3::start()).await;
    kept.settled().await;
    assert_eq!((kept.contents(), kept.on_disk()), (1, 0));
    assert_eq!(kept.read(&about).await.unwrap(), b"abc");
}

#[tokio::test]
async fn files_as_they_were_kept_before_are_found() {
    let mut kept = Kept::in_directory();
    let about = kept.put("voice", 1, b"abc").await;
    let root = kept.directory.path();
    let before = root.join(format!("voice/{}/content", about.id));
    std::fs::rename(root.join(format!("voice/.content/{}", about.sha256)), before).unwrap();
    std::fs::remove_dir(root.join("voice/.content")).unwrap();
    kept.restart().await;
    assert_eq!((kept.read(&about).await.unwrap(), kept.on_disk()), (b"abc".to_vec(), 1));
}

#[tokio::test]
async fn a_wrong_configuration_is_told_precisely() {
    let s3 = S3::start();
    let check = async |config: BucketConfig| Bucket::new(&config).unwrap().check().await;
    check(config(&s3)).await.unwrap();
    assert!(s3.objects().is_empty());
    let wrong_key = BucketConfig { secret_access_key: "another-canary".into(), ..config(&s3) };
    let nobodys = BucketConfig { access_key_id: "AKIANOBODY-canary".into(), ..config(&s3) };
    for (config, code) in [(wrong_key, "SignatureDoesNotMatch"), (nobodys, "NotSignedUp")] {
        let trouble = check(config.clone()).await.unwrap_err();
        assert!(trouble.is_refusal(), "{trouble}");
        assert_eq!(trouble.code, code, "{trouble}");
        for text in [trouble.to_string(), format!("{trouble:?}"), format!("{config:?}")] {
            assert!(!text.contains("canary") && !text.contains(KEY_ID), "{text}");
        }
    }
    s3.down(true);
    assert!(!check(config(&s3)).await.unwrap_err().is_refusal());
    let nowhere = BucketConfig { endpoint: Some("s3.example.com".into()), ..config(&s3) };
    assert!(Bucket::new(&nowhere).unwrap_err().to_string().contains("is no address"));
}

#[tokio::test]
async fn what_is_sent_with_a_wrong_key_is_refused_and_stays_here() {
    let (s3, directory) = (S3::start(), tempfile::tempdir().unwrap());
    let wrong = BucketConfig { secret_access_key: "another".into(), ..config(&s3) };
    let blobs = Blobs::open_in_bucket(directory.path().into(), Bucket::new(&wrong).unwrap(), SPOOL).unwrap();
    let mut upload = blobs.begin(wanted("voice", 1), 100).await.unwrap();
    upload.write(b"abc").await.unwrap();
    upload.finish().await.unwrap();
    tokio::select! {
        () = blobs.carry() => {}
        () = until(|| s3.asked().len() == 2) => {}
    }
    assert_eq!((s3.objects().len(), blobs.due()), (0, 1));
}
