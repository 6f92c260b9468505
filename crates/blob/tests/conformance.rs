//! One suite for both stores.

use std::io::ErrorKind;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream;
use raincheck_blob::{FileId, UploadError};
use raincheck_core::Time;
use tokio::io::AsyncReadExt;

use crate::support::{Kept, tenant, wanted};

/// More than goes in two parts.
const LARGE: usize = (20 << 20) + 1;

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        mod directory {
            $(#[tokio::test] async fn $name() { super::$name(super::Kept::in_directory()).await; })*
        }
        mod bucket {
            $(#[tokio::test] async fn $name() { super::$name(super::Kept::in_bucket()).await; })*
        }
    };
}

suite![
    what_is_put_is_read_before_and_after_it_has_settled,
    what_was_never_put_is_missing,
    the_same_content_is_kept_once,
    the_same_content_at_the_same_time_is_kept_once,
    tenants_share_nothing,
    what_is_removed_is_gone,
    what_is_put_again_after_its_removal_is_there,
    what_has_expired_is_swept,
    everything_is_listed,
    nothing_is_as_good_as_anything,
    a_large_content_comes_and_goes_in_pieces,
    a_stream_is_kept_whole_or_not_at_all,
    what_is_cut_off_leaves_nothing,
    everything_is_known_after_a_restart,
];

fn large() -> Vec<u8> {
    (0..LARGE).map(|at| u8::try_from(at / 7 % 251).unwrap()).collect()
}

async fn what_is_put_is_read_before_and_after_it_has_settled(kept: Kept) {
    let about = kept.put("voice", 1, b"abc").await;
    assert_eq!((about.bytes, &*about.sha256), (3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    assert_eq!(kept.read(&about).await.unwrap(), b"abc");
    kept.settled().await;
    assert_eq!((kept.read(&about).await.unwrap(), kept.contents()), (b"abc".to_vec(), 1));
    assert_eq!(kept.on_disk(), usize::from(kept.s3.is_none()));
}

async fn what_was_never_put_is_missing(kept: Kept) {
    let id = FileId::new(Time::EPOCH, 9);
    assert_eq!(kept.blobs.get(&tenant("voice"), &id), None);
    assert!(!kept.blobs.remove(&tenant("voice"), &id).await.unwrap());
    let about = kept.put("voice", 1, b"abc").await;
    kept.blobs.remove(&tenant("voice"), &about.id).await.unwrap();
    kept.settled().await;
    assert_eq!(kept.read(&about).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(kept.blobs.local(&about).await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn the_same_content_is_kept_once(kept: Kept) {
    let first = kept.put("voice", 1, b"abc").await;
    kept.settled().await;
    let second = kept.put("voice", 2, b"abc").await;
    kept.settled().await;
    assert_eq!((kept.contents(), &first.sha256), (1, &second.sha256));
    kept.blobs.remove(&first.tenant, &first.id).await.unwrap();
    kept.settled().await;
    assert_eq!(kept.read(&second).await.unwrap(), b"abc");
    kept.blobs.remove(&second.tenant, &second.id).await.unwrap();
    kept.settled().await;
    assert_eq!((kept.contents(), kept.on_disk()), (0, 0));
}

async fn the_same_content_at_the_same_time_is_kept_once(kept: Kept) {
    let bytes = &large()[..1 << 20];
    let abouts = join_all((0..8).map(|number| kept.put("voice", number, bytes))).await;
    kept.settled().await;
    assert_eq!((kept.contents(), kept.blobs.list(&tenant("voice")).len()), (1, 8));
    // Those go while others come.
    let removing = abouts.iter().map(|about| kept.blobs.remove(&about.tenant, &about.id));
    let putting = (8..12).map(|number| kept.put("voice", number, bytes));
    let (_, abouts) = tokio::join!(join_all(removing), join_all(putting));
    kept.settled().await;
    assert_eq!(kept.contents(), 1);
    assert!(kept.read(&abouts[3]).await.unwrap() == bytes);
}

async fn tenants_share_nothing(kept: Kept) {
    let [ours, theirs] = [kept.put("voice", 1, b"abc").await, kept.put("other", 1, b"abc").await];
    kept.settled().await;
    assert_eq!(kept.contents(), 2);
    assert_eq!(kept.blobs.list(&tenant("voice")), std::slice::from_ref(&ours));
    kept.blobs.remove(&ours.tenant, &ours.id).await.unwrap();
    kept.settled().await;
    assert_eq!((kept.contents(), kept.read(&theirs).await.unwrap()), (1, b"abc".to_vec()));
}

async fn what_is_removed_is_gone(kept: Kept) {
    // At once, and after it has settled.
    for number in 1..=2 {
        let about = kept.put("voice", number, &[7; 100]).await;
        if number == 2 {
            kept.settled().await;
        }
        assert!(kept.blobs.remove(&about.tenant, &about.id).await.unwrap());
        kept.settled().await;
        assert_eq!((kept.contents(), kept.on_disk(), kept.unfinished()), (0, 0, 0));
        assert!(kept.blobs.list(&about.tenant).is_empty());
    }
}

async fn what_is_put_again_after_its_removal_is_there(kept: Kept) {
    for number in 0..20 {
        let about = kept.put("voice", number, b"abc").await;
        assert_eq!(kept.read(&about).await.unwrap(), b"abc");
        kept.blobs.remove(&about.tenant, &about.id).await.unwrap();
    }
    let about = kept.put("voice", 99, b"abc").await;
    kept.settled().await;
    assert_eq!((kept.contents(), kept.read(&about).await.unwrap()), (1, b"abc".to_vec()));
}

async fn what_has_expired_is_swept(kept: Kept) {
    let stays = kept.put("voice", 1, b"abc").await;
    let mut upload = kept.blobs.begin(wanted("voice", 2), 100).await.unwrap();
    upload.write(b"xyz").await.unwrap();
    upload.expire_at(Time::from_millis(5));
    upload.finish().await.unwrap();
    kept.settled().await;
    assert_eq!((kept.blobs.remove_expired(Time::from_millis(4)).await, kept.contents()), (0, 2));
    assert_eq!(kept.blobs.remove_expired(Time::from_millis(5)).await, 1);
    kept.settled().await;
    assert_eq!((kept.contents(), kept.read(&stays).await.unwrap()), (1, b"abc".to_vec()));
}

async fn everything_is_listed(kept: Kept) {
    for number in 0..5 {
        kept.put("voice", number, &[u8::try_from(number).unwrap()]).await;
    }
    let ids: Vec<FileId> = kept.blobs.list(&tenant("voice")).iter().map(|about| about.id.clone()).collect();
    assert_eq!(ids, (0..5).map(|number| FileId::new(Time::EPOCH, number)).collect::<Vec<_>>());
    kept.settled().await;
    assert_eq!(kept.contents(), 5);
}

async fn nothing_is_as_good_as_anything(kept: Kept) {
    let about = kept.put("voice", 1, b"").await;
    kept.settled().await;
    assert_eq!((about.bytes, kept.read(&about).await.unwrap(), kept.contents()), (0, Vec::new(), 1));
}

async fn a_large_content_comes_and_goes_in_pieces(kept: Kept) {
    let bytes = large();
    let about = kept.put("voice", 1, &bytes).await;
    kept.settled().await;
    assert!(kept.read(&about).await.unwrap() == bytes);
    let mut local = kept.blobs.local(&about).await.unwrap();
    let mut read = Vec::new();
    local.file.read_to_end(&mut read).await.unwrap();
    assert!(read == bytes);
    assert_eq!((kept.unfinished(), kept.contents()), (0, 1));
    if let Some(s3) = &kept.s3 {
        let parts = s3.asked().iter().filter(|asked| asked.contains("partNumber=")).count();
        assert_eq!((parts, s3.parts().len()), (3, 0));
    }
}

async fn a_stream_is_kept_whole_or_not_at_all(kept: Kept) {
    let piece = |text: &'static str| Ok(Bytes::from_static(text.as_bytes()));
    let whole = || stream::iter([piece("abc"), piece("def")]);
    let about = kept.blobs.put_stream(wanted("voice", 1), 6, whole()).await.unwrap();
    assert_eq!((about.bytes, about.sha256.len()), (6, 64));
    let too_large = kept.blobs.put_stream(wanted("voice", 2), 5, whole()).await;
    assert!(matches!(too_large, Err(UploadError::TooLarge(5))));
    let broken = stream::iter([piece("abc"), Err(std::io::Error::other("the provider hung up"))]);
    let cut = kept.blobs.put_stream(wanted("voice", 3), 6, broken).await;
    assert!(matches!(cut, Err(UploadError::Source(_))));
    kept.settled().await;
    assert_eq!((kept.blobs.list(&tenant("voice")).len(), kept.contents(), kept.unfinished()), (1, 1, 0));
}

async fn what_is_cut_off_leaves_nothing(kept: Kept) {
    let mut upload = kept.blobs.begin(wanted("voice", 1), 100).await.unwrap();
    upload.write(b"abc").await.unwrap();
    assert_eq!(kept.unfinished(), 1);
    drop(upload);
    kept.settled().await;
    assert_eq!((kept.unfinished(), kept.contents(), kept.on_disk()), (0, 0, 0));
}

async fn everything_is_known_after_a_restart(mut kept: Kept) {
    let [first, second] = [kept.put("voice", 1, b"abc").await, kept.put("voice", 2, b"xyz").await];
    kept.settled().await;
    kept.put("voice", 3, b"late").await;
    kept.blobs.remove(&first.tenant, &first.id).await.unwrap();
    // One whose server was killed.
    std::mem::forget(kept.blobs.begin(wanted("voice", 4), 4).await.unwrap());
    kept.restart().await;
    kept.settled().await;
    assert_eq!((kept.blobs.list(&tenant("voice")).len(), kept.contents(), kept.unfinished()), (2, 2, 0));
    assert_eq!(kept.read(&second).await.unwrap(), b"xyz");
}
