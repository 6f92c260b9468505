use axum::http::Method;
use raincheck_api::ApiSettings;
use raincheck_store::{Limits, Scope};

use crate::support::Server;

#[tokio::test]
async fn a_job_s_file_is_given_to_those_who_may_see_the_job() {
    let directory = tempfile::tempdir().unwrap();
    let files = Some(directory.path().to_owned());
    let server = Server::with(ApiSettings { files, ..ApiSettings::default() }, Limits::default()).await;
    let own = server.key("voice", &[Scope::Submit, Scope::Read], None).await;
    let other = server.key("other", &[Scope::Read], None).await;
    let headers = [("authorization", own.as_str())];
    let id = server.call(Method::POST, "/v1/jobs", &headers, r#"{"kind": "echo", "input": 1}"#).await.id();
    std::fs::create_dir(directory.path().join(&id)).unwrap();
    std::fs::write(directory.path().join(&id).join("manifest.jsonl"), "{}\n{}\n").unwrap();
    std::fs::write(directory.path().join("secret"), "hidden").unwrap();

    let get = async |key: &str, path: &str| server.call(Method::GET, path, &[("authorization", key)], "").await;
    let path = format!("/v1/jobs/{id}/files/manifest.jsonl");
    let reply = get(&own, &path).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "{}\n{}\n"));
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(reply.header("content-disposition"), Some("attachment; filename=\"manifest.jsonl\""));
    assert_eq!(reply.header("content-security-policy"), Some("sandbox"));
    assert_eq!(get(&other, &path).await.status, 404);
    std::fs::create_dir(directory.path().join(&id).join("directory")).unwrap();
    let long = "x".repeat(300);
    for name in ["none.jsonl", "directory", &long, "..%2Fsecret", "..", "%2e%2e%2fsecret", ".hidden", "a%00b"] {
        let reply = get(&own, &format!("/v1/jobs/{id}/files/{name}")).await;
        assert_eq!(reply.status, 404, "{name}: {}", reply.text());
    }
    // One that is there but cannot be opened is no mistake of the client.
    let around = directory.path().join(&id).join("around.csv");
    std::os::unix::fs::symlink(&around, &around).unwrap();
    let reply = get(&own, &format!("/v1/jobs/{id}/files/around.csv")).await;
    assert_eq!((reply.status.as_u16(), reply.text().contains("around.csv")), (500, false), "{}", reply.text());
}
