//! Pictures that are fetched from a server in this process, which answers as it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use raincheck_blob::Blobs;
use raincheck_core::{Job, Json, Outcome, Picture, ProblemType, Tenant};
use raincheck_engine::{About, Context, Engine, Failure, Handler, Registry, SystemClock};
use raincheck_kinds::FileFetch;
use raincheck_upstream::{Egress, Fetcher};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{end, engine, submit};

/// The head of a PNG of this size, and some bytes behind it.
fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(height.to_be_bytes());
    bytes.extend(b"\x08\x06\0\0\0");
    bytes.resize(1_000, 7);
    bytes
}

/// A JPEG that tells its size behind `before` bytes of what a camera writes.
fn jpeg(before: usize) -> Vec<u8> {
    let mut bytes = vec![0xFF, 0xD8];
    let mut left = before;
    while left > 0 {
        let piece = left.min(60_000);
        bytes.extend([0xFF, 0xE1]);
        bytes.extend(u16::try_from(piece + 2).unwrap().to_be_bytes());
        bytes.resize(bytes.len() + piece, 1);
        left -= piece;
    }
    bytes.extend([0xFF, 0xC0, 0, 17, 8, 0, 40, 0, 30, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]);
    bytes.resize(bytes.len() + 500, 9);
    bytes
}

fn answer(status: u16, media_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} X\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Fetches twice in one job, as an attempt does whose predecessor died before it could say what it had.
struct Twice(FileFetch);

#[async_trait]
impl Handler for Twice {
    fn about(&self) -> About {
        About::new("twice".parse().unwrap(), "Fetches twice.", json!(true).into())
    }

    async fn run(&self, context: Context, input: Json) -> Result<Json, Failure> {
        let first: Value = self.0.run(context.clone(), input.clone()).await?.parse().unwrap();
        let second: Value = self.0.run(context, input).await?.parse().unwrap();
        Ok(json!([first, second]).into())
    }
}

struct Stage {
    engine: Engine,
    blobs: Blobs,
    url: String,
    asked: Arc<AtomicUsize>,
    directory: TempDir,
}

impl Stage {
    /// A server that gives these answers in turn, and the last one for ever.
    async fn new(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a.png", listener.local_addr().unwrap());
        let asked = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&asked);
        #[expect(clippy::disallowed_methods, reason = "ends with the test")]
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let number = counted.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
                let mut request = [0; 4_096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(&answers[number]).await;
                let _ = stream.shutdown().await;
            }
        });
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path().into()).unwrap();
        let fetcher = Fetcher::new(Egress { allow: vec!["127.0.0.0/8".parse().unwrap()] });
        let fetch = || FileFetch::new(blobs.clone(), fetcher.clone(), Arc::new(SystemClock));
        let engine = engine(Registry::default().with(fetch()).with(Twice(fetch()))).await;
        Self { engine, blobs, url, asked, directory }
    }

    async fn run(&self, kind: &str, mut input: Value) -> Job {
        if input.get("url").is_none() {
            input["url"] = self.url.clone().into();
        }
        end(&self.engine, submit(&self.engine, kind, input).await.unwrap()).await
    }

    async fn fetch(&self, input: Value) -> Result<Value, (ProblemType, String)> {
        match self.run("file.fetch", input).await.outcome.unwrap() {
            Outcome::Completed(result) => Ok(result.parse().unwrap()),
            Outcome::Failed(problem) => {
                let of_type = ProblemType::ALL.iter().find(|of_type| problem.is(**of_type)).unwrap();
                Err((*of_type, problem.detail))
            }
            other => panic!("{other:?}"),
        }
    }

    /// How many files there are, whole and half.
    fn files(&self) -> (usize, usize) {
        let half = std::fs::read_dir(self.directory.path().join(".new")).unwrap().count();
        (self.blobs.list(&Tenant::default()).len(), half)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_copied_with_what_there_is_to_know_of_it() {
    let stage = Stage::new(vec![answer(200, "image/png", &png(640, 480))]).await;
    let result = stage.fetch(json!({})).await.unwrap();
    let about = stage.blobs.get(&Tenant::default(), &result["id"].as_str().unwrap().parse().unwrap()).unwrap();
    assert_eq!(
        (&result["bytes"], &result["sha256"], &result["filename"]),
        (&json!(1_000), &json!(about.sha256), &json!("picture.png"))
    );
    assert_eq!(
        (&result["media_type"], &result["width"], &result["height"]),
        (&json!("image/png"), &json!(640), &json!(480))
    );
    let mut content = Vec::new();
    stage.blobs.read(&about).await.unwrap().read_to_end(&mut content).await.unwrap();
    assert_eq!(content, png(640, 480));
    assert_eq!(about.expires_at, None);
    // What its server does not know is seen from the file, also far into it.
    let stage = Stage::new(vec![answer(200, "application/octet-stream", &jpeg(300_000))]).await;
    let result = stage.fetch(json!({"filename": "sofa.jpg", "keep_seconds": 60})).await.unwrap();
    let about = stage.blobs.get(&Tenant::default(), &result["id"].as_str().unwrap().parse().unwrap()).unwrap();
    let kept = about.expires_at.unwrap().since(about.created_at);
    assert!((60..70).contains(&kept.as_secs()), "{kept:?}");
    assert_eq!(
        (&result["media_type"], &result["width"], &result["height"], &result["filename"]),
        (&json!("image/jpeg"), &json!(30), &json!(40), &json!("sofa.jpg"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_in_its_address_is_taken_too() {
    let stage = Stage::new(vec![answer(500, "text/plain", b"")]).await;
    let gif = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";
    let result = stage.fetch(json!({"url": gif})).await.unwrap();
    assert_eq!((&result["media_type"], &result["width"]), (&json!("image/gif"), &json!(1)));
    let lie = gif.replace("image/gif", "image/png");
    let (of_type, detail) = stage.fetch(json!({"url": lie})).await.unwrap_err();
    assert_eq!(of_type, ProblemType::FILE_REFUSED);
    assert!(detail.contains("said to be image/png, and its bytes are those of image/gif"), "{detail}");
    assert_eq!((stage.files(), stage.asked.load(Ordering::SeqCst)), ((1, 0), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_picture_fails_at_once_and_leaves_nothing() {
    let html = b"<!DOCTYPE html><p>gone";
    let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>";
    let mut shapeless = png(1, 1);
    shapeless.truncate(14);
    for (answer, input, told) in [
        (answer(200, "text/html; charset=utf-8", html), json!({}), "said to be \"text/html\""),
        (answer(200, "image/png", html), json!({}), "it begins with \"<!DOCTYPE"),
        (answer(200, "image/svg+xml", svg), json!({}), "said to be \"image/svg+xml\""),
        (answer(200, "image/png", svg), json!({}), "it is no picture"),
        (answer(200, "image/png", &jpeg(0)), json!({}), "said to be image/png, and its bytes are those of image/jpeg"),
        (answer(200, "image/png", &png(9, 9)), json!({"types": ["image/webp"]}), "it may be image/webp"),
        (answer(200, "image/png", &png(20_001, 1)), json!({}), "20001 x 1 pixels"),
        (answer(200, "image/png", &png(20_000, 20_000)), json!({}), "100000000 in all"),
        (answer(200, "image/png", &png(0, 1)), json!({}), "no pixels"),
        (answer(200, "image/png", &shapeless), json!({}), "how wide and high"),
        (answer(200, "image/png", b""), json!({}), "it is empty"),
        (answer(200, "image/png", &png(9, 9)), json!({"max_bytes": 999}), "it has 1000 bytes, and may have 999"),
    ] {
        let stage = Stage::new(vec![answer]).await;
        let (of_type, detail) = stage.fetch(input).await.unwrap_err();
        assert_eq!(of_type, ProblemType::FILE_REFUSED, "{detail}");
        assert!(detail.contains(told), "{detail}");
        assert_eq!((stage.files(), stage.asked.load(Ordering::SeqCst)), ((0, 0), 1), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_holds_where_no_length_is_told() {
    let unending = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nConnection: close\r\n\r\n";
    let stage = Stage::new(vec![[&unending[..], &png(9, 9), &[0; 100_000]].concat()]).await;
    let (_, detail) = stage.fetch(json!({"max_bytes": 50_000})).await.unwrap_err();
    assert!(detail.contains("more than the 50000 bytes"), "{detail}");
    assert_eq!(stage.files(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_again_and_leaves_one_file() {
    let mut broken_off = answer(200, "image/png", &png(9, 9));
    broken_off.truncate(500);
    let stage =
        Stage::new(vec![answer(503, "text/plain", b""), broken_off, answer(200, "image/png", &png(9, 9))]).await;
    let job = stage.run("file.fetch", json!({})).await;
    assert!(matches!(job.outcome, Some(Outcome::Completed(_))), "{:?}", job.outcome);
    assert_eq!((job.life.attempt, stage.files()), (3, (1, 0)));
    let stage = Stage::new(vec![answer(404, "text/plain", b"")]).await;
    let (of_type, detail) = stage.fetch(json!({})).await.unwrap_err();
    assert_eq!((of_type, detail.contains("answered 404")), (ProblemType::UPSTREAM_REFUSED, true), "{detail}");
    assert_eq!(stage.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn done_twice_it_is_there_once() {
    let stage = Stage::new(vec![answer(200, "image/png", &png(9, 8)), answer(404, "text/plain", b"")]).await;
    let job = stage.run("twice", json!({})).await;
    let Some(Outcome::Completed(result)) = &job.outcome else { panic!("{:?}", job.outcome) };
    let both: Value = result.parse().unwrap();
    assert_eq!((&both[0], &both[0]["height"]), (&both[1], &json!(8)));
    assert_eq!((stage.files(), stage.asked.load(Ordering::SeqCst)), ((1, 0), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_fetched_is_refused_before_a_job_exists() {
    let stage = Stage::new(vec![answer(200, "image/png", &png(9, 9))]).await;
    let url = "https://a.example/b.png";
    for (input, pointer) in [
        (json!({"url": "https://10.0.0.1/a.png"}), "/input/url"),
        (json!({"url": "https://[::1]/a.png"}), "/input/url"),
        (json!({"url": "http://a.example@169.254.169.254/"}), "/input/url"),
        (json!({"url": "file:///etc/passwd"}), "/input/url"),
        (json!({"url": "data:image/svg+xml,<svg/>"}), "/input/url"),
        (json!({"url": format!("https://a.example/{}", "x".repeat(8_192))}), "/input/url"),
        (json!({"url": url, "types": ["image/svg+xml"]}), "/input/types/0"),
        (json!({"url": url, "types": []}), "/input/types"),
        (json!({"url": url, "max_bytes": 0}), "/input/max_bytes"),
        (json!({"url": url, "max_bytes": 100_000_001}), "/input/max_bytes"),
        (json!({"url": url, "filename": "a\nb"}), "/input/filename"),
        (json!({"url": url, "name": "a"}), "/input/name"),
    ] {
        let problem = submit(&stage.engine, "file.fetch", input.clone()).await.unwrap_err();
        assert_eq!(problem.pointer.as_deref(), Some(pointer), "{input}: {problem:?}");
    }
    assert_eq!(Picture::ALL.len(), 4);
    assert_eq!(stage.asked.load(Ordering::SeqCst), 0);
}
