//! Files from outside: in the directory, and in a bucket of a real S3 service, which may be down.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::s3::{BUCKET, KEY, KEY_ID, S3};
use crate::support::{Place, Reply, Server, delete, get, post, raincheck, request, run};

const FILES: &str = "/openai/v1/files";
const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=X");
/// Nothing here takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn part(name: &str, more: &str, content: &str) -> String {
    format!("--X\r\ncontent-disposition: form-data; name=\"{name}\"{more}\r\n\r\n{content}\r\n")
}

fn form(content: &str) -> String {
    format!("{}{}--X--\r\n", part("purpose", "", "user_data"), part("file", "; filename=\"a.bin\"", content))
}

fn upload(server: &Server, content: &str) -> Reply {
    request(server.address, "POST", FILES, &[FORM], &form(content))
}

/// A server whose files are in the bucket.
fn in_bucket(place: &Place, s3: &S3, more: &str) -> Server {
    Server::configured(place, &config(s3, KEY, more))
}

fn config(s3: &S3, key: &str, more: &str) -> String {
    format!(
        "[blobs]\nstore = \"s3\"\nbucket = \"{BUCKET}\"\nendpoint = \"{}\"\naccess_key_id = \"{KEY_ID}\"\n\
         secret_access_key = \"{key}\"\n{more}\n",
        s3.endpoint()
    )
}

#[expect(clippy::disallowed_methods, reason = "a test's own patience")]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "it did not come to that: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn content(file: &Reply) -> String {
    format!("{FILES}/{}/content", file.json()["id"].as_str().unwrap())
}

fn unfinished(place: &Place) -> usize {
    std::fs::read_dir(place.data().join("uploads/.new")).unwrap().count()
}

fn check_no_key_is_told(place: &Place) {
    let log = std::fs::read_to_string(place.log()).unwrap();
    assert!(!log.contains(KEY) && !log.contains(KEY_ID), "{log}");
}

#[test]
fn files_go_to_the_bucket_and_downloads_are_sent_there() {
    let (place, s3) = (Place::new(), S3::start());
    let server = in_bucket(&place, &s3, "prefix = \"rain\"\ndownloads = \"presigned\"");
    let file = upload(&server, "abc");
    assert_eq!(file.status, 200, "{file:?}");
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    until("the bucket has it", || s3.objects() == [format!("rain/default/{sha256}")]);
    let link = || {
        let sent = get(server.address, &content(&file));
        (sent.status, sent.headers.get("location").cloned().unwrap_or_default())
    };
    until("it is sent there", || link().0 == 302);
    let (_, location) = link();
    let path = location.strip_prefix(&s3.endpoint()).expect("the bucket's address");
    let there = get(s3.address, path);
    assert_eq!((there.status, &*there.body), (200, "abc"), "{there:?}");
    assert_eq!(there.headers["content-disposition"], "attachment");
    // Signed for GET; whoever asks for the head is answered here.
    assert_eq!(request(server.address, "HEAD", &content(&file), &[], "").headers["content-length"], "3");
    assert_eq!(delete(server.address, content(&file).trim_end_matches("/content")).status, 200);
    until("the bucket has it no more", || s3.objects().is_empty());
    assert!(server.stop().success());
    check_no_key_is_told(&place);
    let shown = run(raincheck(&["config", "show", "--config", "raincheck.toml"]).current_dir(place.path()));
    let store = shown.json().as_array().unwrap().iter().find(|setting| setting["key"] == "store").unwrap().clone();
    assert!(store["value"] == "\"s3\"" && !shown.out.contains(KEY) && !shown.out.contains(KEY_ID), "{shown:?}");
}

#[test]
fn while_the_bucket_is_down_files_are_taken_and_wait_for_it_also_over_a_crash() {
    let (place, s3) = (Place::new(), S3::start());
    let server = in_bucket(&place, &s3, "");
    let early = upload(&server, "early");
    until("the bucket has it", || s3.objects().len() == 1 && get(server.address, &content(&early)).body == "early");
    until("it is here no more", || {
        std::fs::read_dir(place.data().join("uploads/default/.content")).unwrap().count() == 0
    });
    s3.down(true);
    let unreachable = get(server.address, &content(&early));
    assert_eq!(unreachable.status, 503, "{unreachable:?}");
    assert!(
        unreachable.headers.contains_key("retry-after") && unreachable.body.contains("files_unreachable"),
        "{unreachable:?}"
    );
    let late = upload(&server, "late");
    assert_eq!((late.status, &*get(server.address, &content(&late)).body), (200, "late"));
    server.kill();
    // It also starts without its bucket.
    let server = in_bucket(&place, &s3, "");
    assert_eq!(get(server.address, &content(&late)).body, "late");
    s3.down(false);
    until("the bucket has both", || s3.objects().len() == 2);
    assert_eq!(get(server.address, &content(&early)).body, "early");
    assert!(server.stop().success());
    let log = std::fs::read_to_string(place.log()).unwrap();
    assert!(log.contains("the bucket of the files cannot be reached; they wait here until it can"), "{log}");
    check_no_key_is_told(&place);
}

#[test]
fn a_bucket_that_refuses_keeps_the_server_from_starting() {
    let (place, s3) = (Place::new(), S3::start());
    let serve = |config: &str| {
        place.file("raincheck.toml", config);
        run(raincheck(&["serve", "--listen", "127.0.0.1:0", "--data-dir", "data"]).current_dir(place.path()))
    };
    let refused = serve(&config(&s3, "another-canary", ""));
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused.err.contains("the bucket blobs refuses to keep files: 403 SignatureDoesNotMatch"),
        "{}",
        refused.err
    );
    assert!(refused.err.contains("mend secret_access_key in [blobs]"), "{}", refused.err);
    let incomplete = serve("[blobs]\nstore = \"s3\"\naccess_key_id_env = \"NOT_SET_ANYWHERE\"\n");
    assert_eq!(incomplete.code, Some(2));
    for told in ["store = \"s3\" needs the name of a bucket", "the environment variable NOT_SET_ANYWHERE is not set"] {
        assert!(incomplete.err.contains(told), "{}", incomplete.err);
    }
    assert!(!refused.err.contains("canary"), "{}", refused.err);
}

#[test]
fn what_crosses_the_limit_is_413_and_leaves_nothing() {
    let place = Place::new();
    let server = Server::start(&place, &[]);
    let intended =
        "{\"bytes\": 10, \"filename\": \"a.bin\", \"purpose\": \"user_data\", \"mime_type\": \"text/plain\"}";
    let begun = post(server.address, "/openai/v1/uploads", intended);
    assert_eq!(begun.status, 200, "{begun:?}");
    let path = format!("/openai/v1/uploads/{}/parts", begun.json()["id"].as_str().unwrap());
    let body = format!("{}--X--\r\n", part("data", "; filename=\"a\"", &"x".repeat(100_000)));
    let refused = request(server.address, "POST", &path, &[FORM], &body);
    assert_eq!(refused.status, 413, "{refused:?}");
    until("it leaves nothing", || unfinished(&place) == 0);
}

#[test]
fn a_client_that_is_gone_half_way_leaves_nothing() {
    let place = Place::new();
    let server = Server::start(&place, &[]);
    let half = form(&"x".repeat(200_000));
    let mut stream = begin(server.address, half.len());
    stream.write_all(&half.as_bytes()[..100_000]).unwrap();
    until("it has begun", || unfinished(&place) == 1);
    drop(stream);
    until("it leaves nothing", || unfinished(&place) == 0);
    assert_eq!(get(server.address, FILES).json()["data"], serde_json::json!([]));
}

fn begin(address: SocketAddr, length: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let (name, value) = FORM;
    write!(stream, "POST {FILES} HTTP/1.1\r\nhost: {address}\r\n{name}: {value}\r\ncontent-length: {length}\r\n\r\n")
        .unwrap();
    stream
}

/// A small file system in memory. To be dropped after the server on it.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path) -> Self {
        std::fs::create_dir_all(path).unwrap();
        let mut mount = Command::new("mount");
        let status = mount.args(["-t", "tmpfs", "-o", "size=1m", "raincheck-blobs"]).arg(path).status().unwrap();
        assert!(status.success(), "this test mounts a small file system, which needs root: {status}");
        Self(path.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_507_and_leaves_nothing() {
    let place = Place::new();
    let _disk = SmallDisk::mount(&place.data().join("uploads"));
    let server = Server::start(&place, &[]);
    let kept = upload(&server, &"a".repeat(400_000));
    assert_eq!(kept.status, 200, "{kept:?}");
    let refused = upload(&server, &"b".repeat(900_000));
    assert_eq!(refused.status, 507, "{refused:?}");
    assert!(refused.body.contains("the disk of the server is full"), "{refused:?}");
    assert_eq!(unfinished(&place), 0);
    assert_eq!(get(server.address, FILES).json()["data"].as_array().unwrap().len(), 1);
    // There is room for what fits, and for what is large once something goes.
    assert_eq!(upload(&server, &"c".repeat(100_000)).status, 200);
    assert_eq!(delete(server.address, content(&kept).trim_end_matches("/content")).status, 200);
    assert_eq!(upload(&server, &"d".repeat(600_000)).status, 200);
}
