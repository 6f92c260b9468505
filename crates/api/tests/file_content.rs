//! The bytes of tenants' files, with a key and by signed links.

use std::time::Duration;

use axum::http::Method;
use raincheck_api::{ApiSettings, Doors, Links};
use raincheck_blob::{Blobs, FileId, Wanted};
use raincheck_core::Time;
use raincheck_store::{Limits, Scope};
use tempfile::TempDir;

use crate::support::{Reply, Server};

const PNG: &[u8] = b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR and more";

struct Stage {
    server: Server,
    blobs: Blobs,
    links: Links,
    _directory: TempDir,
}

impl Stage {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path().join("uploads")).unwrap();
        let links = Links::open(directory.path()).unwrap();
        let doors = Doors { files: Some(blobs.clone()), ..Doors::default() };
        let settings = ApiSettings { doors, links: Some(links.clone()), ..ApiSettings::default() };
        Self { server: Server::with(settings, Limits::default()).await, blobs, links, _directory: directory }
    }

    async fn put(&self, number: u64, filename: &str, purpose: &str, bytes: &[u8]) -> FileId {
        let id = FileId::new(Time::EPOCH, number);
        let (tenant, filename, purpose) = ("voice".parse().unwrap(), filename.to_owned(), purpose.to_owned());
        let wanted = Wanted { id: id.clone(), tenant, filename, purpose, created_at: Time::EPOCH };
        let mut upload = self.blobs.begin(wanted, 1 << 20).await.unwrap();
        upload.write(bytes).await.unwrap();
        upload.finish().await.unwrap();
        id
    }

    async fn get(&self, path: &str, key: Option<&str>) -> Reply {
        let headers: Vec<_> = key.map(|key| ("authorization", key)).into_iter().collect();
        self.server.call(Method::GET, path, &headers, "").await
    }

    fn now(&self) -> Time {
        self.server.engine.clock().now()
    }
}

#[tokio::test]
async fn a_picture_is_shown_and_everything_else_is_saved() {
    let stage = Stage::new().await;
    let own = stage.server.key("voice", &[Scope::Read], None).await;
    let other = stage.server.key("other", &[Scope::Read], None).await;
    let picture = stage.put(1, "sofa \"blau\" ü.png", "vision", PNG).await;
    let page = stage.put(2, "page.png", "vision", b"<!DOCTYPE html><script>alert(1)</script>").await;
    let short = stage.put(3, "a.txt", "user_data", b"x").await;
    let hidden = stage.put(4, "a.txt", ".part", b"x").await;

    let path = |id: &FileId| format!("/v1/files/{id}/content");
    let reply = stage.get(&path(&picture), Some(&own)).await;
    assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, PNG));
    assert_eq!(reply.header("content-type"), Some("image/png"));
    assert_eq!(reply.header("content-length"), Some(PNG.len().to_string().as_str()));
    let disposition = "inline; filename*=UTF-8''sofa%20%22blau%22%20%C3%BC.png";
    assert_eq!(reply.header("content-disposition"), Some(disposition));
    assert_eq!(reply.header("content-security-policy"), Some("default-src 'none'; sandbox"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    for (id, bytes) in [(&page, 40), (&short, 1)] {
        let reply = stage.get(&path(id), Some(&own)).await;
        assert_eq!((reply.header("content-type"), reply.body.len()), (Some("application/octet-stream"), bytes));
        assert!(reply.header("content-disposition").unwrap().starts_with("attachment;"));
    }
    for (path, key, status) in [
        (path(&picture), Some(&other), 404),
        (path(&hidden), Some(&own), 404),
        (path(&FileId::new(Time::EPOCH, 9)), Some(&own), 404),
        ("/v1/files/..%2Fx/content".to_owned(), Some(&own), 404),
        (format!("{}?a=b", path(&picture)), Some(&own), 400),
        (path(&picture), None, 401),
    ] {
        assert_eq!(stage.get(&path, key.map(String::as_str)).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_link_needs_no_key_and_is_good_for_one_file_and_a_time() {
    let stage = Stage::new().await;
    let (file, another) = (stage.put(1, "a.png", "vision", PNG).await, stage.put(2, "b.png", "vision", PNG).await);
    let voice = "voice".parse().unwrap();
    let link = stage.links.sign(&voice, &file, stage.now().after(Duration::from_secs(600)));
    let reply = stage.get(&link, None).await;
    assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, PNG));
    assert_eq!(reply.header("content-type"), Some("image/png"));
    let cached = reply.header("cache-control").unwrap();
    assert!(cached.starts_with("private, max-age=") && cached.ends_with(", immutable"), "{cached}");
    for (link, status) in [
        (link.replace(file.as_str(), another.as_str()), 403),
        (link.replace("tenant=voice", "tenant=other"), 403),
        (link.replace("expires=", "expires=1"), 403),
        (format!("{link}A"), 403),
        (link.replace("signature=", "sig="), 400),
        (format!("/files/{file}"), 400),
        (stage.links.sign(&voice, &file, stage.now()), 403),
        (stage.links.sign(&voice, &file, stage.now().after(Duration::from_secs(8 * 24 * 3_600))), 403),
        (stage.links.sign(&voice, &FileId::new(Time::EPOCH, 9), stage.now().after(Duration::from_secs(9))), 404),
    ] {
        let reply = stage.get(&link, None).await;
        assert_eq!(reply.status, status, "{link}");
        assert!(status == 400 || reply.header("cache-control") != Some("private"), "{link}");
    }
    stage.blobs.remove(&voice, &file).await.unwrap();
    assert_eq!(stage.get(&link, None).await.status, 404);
}
