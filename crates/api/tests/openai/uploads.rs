//! Files that come in parts.

use std::path::Path;

use axum::http::{Method, StatusCode};
use raincheck_store::Scope;
use serde_json::{Value, json};

use super::files::{FORM, server};
use crate::support::{Reply, Server};

const UPLOADS: &str = "/openai/v1/uploads";
const FILES: &str = "/openai/v1/files";

fn intended(bytes: usize) -> Value {
    json!({ "bytes": bytes, "filename": "in.jsonl", "mime_type": "text/jsonl", "purpose": "batch" })
}

async fn create(server: &Server, bytes: usize) -> String {
    let reply = server.post(UPLOADS, &intended(bytes).to_string()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let upload = reply.json();
    assert_eq!((&upload["object"], &upload["status"]), (&json!("upload"), &json!("pending")));
    assert_eq!(upload["expires_at"].as_u64().unwrap() - upload["created_at"].as_u64().unwrap(), 3_600);
    upload["id"].as_str().unwrap().to_owned()
}

async fn add(server: &Server, id: &str, bytes: &str) -> Reply {
    let form = format!(
        "--X\r\nContent-Disposition: form-data; name=\"data\"; filename=\"upload\"\r\n\r\n{bytes}\r\n--X--\r\n"
    );
    server.call(Method::POST, &format!("{UPLOADS}/{id}/parts"), &[FORM], &form).await
}

async fn complete(server: &Server, id: &str, parts: &[&Value]) -> Reply {
    server.post(&format!("{UPLOADS}/{id}/complete"), &json!({ "part_ids": parts }).to_string()).await
}

/// How many files the tenant has in the directory, those that nobody sees among them, and how many contents.
fn left(directory: &Path) -> (usize, usize) {
    let tenant = directory.join("uploads/default");
    let names = |place: &Path| std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name());
    let files = names(&tenant).filter(|name| name.to_str().unwrap().starts_with("file-"));
    (files.count(), names(&tenant.join(".content")).count())
}

#[tokio::test]
async fn parts_become_a_file_in_the_order_that_is_said() {
    let (server, directory) = server(true).await;
    let id = create(&server, 6).await;
    let (second, first) = (add(&server, &id, "def").await.json(), add(&server, &id, "abc").await.json());
    assert_eq!((&first["object"], &first["upload_id"]), (&json!("upload.part"), &json!(id)));
    // Nobody sees what is not a file yet.
    assert_eq!(server.get(FILES).await.json()["data"], json!([]));
    let hidden = first["id"].as_str().unwrap().replace("part_", "file-");
    for (method, rest) in [(Method::GET, ""), (Method::GET, "/content"), (Method::DELETE, "")] {
        let reply = server.call(method, &format!("{FILES}/{hidden}{rest}"), &[], "").await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
    }
    let reply = complete(&server, &id, &[&first["id"], &second["id"]]).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let upload = reply.json();
    let file = &upload["file"];
    assert_eq!(
        (&upload["status"], &file["filename"], &file["bytes"]),
        (&json!("completed"), &json!("in.jsonl"), &json!(6))
    );
    let path = format!("{FILES}/{}", file["id"].as_str().unwrap());
    assert_eq!(server.get(&path).await.json(), *file);
    assert_eq!(server.get(&format!("{path}/content")).await.text(), "abcdef");
    assert_eq!(server.get(FILES).await.json()["data"].as_array().unwrap().len(), 1);
    // An SDK that got no answer asks once more; and nothing else can be done with it.
    assert_eq!(complete(&server, &id, &[&first["id"], &second["id"]]).await.json(), upload);
    assert_eq!(add(&server, &id, "x").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(server.post(&format!("{UPLOADS}/{id}/cancel"), "").await.status, StatusCode::BAD_REQUEST);
    // The file, what is known of the upload, and what it has become; its parts are gone.
    assert_eq!(left(directory.path()), (3, 3));
}

#[tokio::test]
async fn parts_that_are_not_what_was_intended_are_no_file() {
    let (server, _directory) = server(true).await;
    let (id, other) = (create(&server, 6).await, create(&server, 3).await);
    let part = add(&server, &id, "abc").await.json()["id"].clone();
    let theirs = add(&server, &other, "abc").await.json()["id"].clone();
    for parts in [vec![&part], vec![&part, &theirs], vec![], vec![&json!("part_1")], vec![&part, &part, &part]] {
        let reply = complete(&server, &id, &parts).await;
        assert_eq!((reply.status, &reply.json()["error"]["param"]), (StatusCode::BAD_REQUEST, &json!("part_ids")));
    }
    // One that was sent again counts twice, and no more than that is taken.
    for (bytes, status) in [("defghi", 200), ("0123", 413), ("012", 200), ("0", 413)] {
        assert_eq!(add(&server, &id, bytes).await.status.as_u16(), status, "{bytes}");
    }
    for headers in [FORM, ("content-type", "application/json")] {
        let none = server.call(Method::POST, &format!("{UPLOADS}/{other}/parts"), &[headers], "--X--\r\n").await;
        assert_eq!((none.status, &none.json()["error"]["param"]), (StatusCode::BAD_REQUEST, &json!("data")));
    }
    let with_sum = json!({ "part_ids": [theirs], "md5": "900150983cd24fb0d6963f7d28e17f72" });
    let reply = server.post(&format!("{UPLOADS}/{other}/complete"), &with_sum.to_string()).await;
    assert_eq!((reply.status, &reply.json()["error"]["param"]), (StatusCode::BAD_REQUEST, &json!("md5")));
    for (field, value) in [
        ("bytes", json!(0)),
        ("bytes", json!(600 << 20)),
        ("filename", json!("")),
        ("purpose", json!(".upload")),
        ("purpose", json!("fun")),
        ("expires_after", json!({ "anchor": "created_at", "seconds": 1 })),
    ] {
        let mut body = intended(1);
        body[field] = value;
        let reply = server.post(UPLOADS, &body.to_string()).await;
        assert_eq!((reply.status, &reply.json()["error"]["param"]), (StatusCode::BAD_REQUEST, &json!(field)));
    }
}

#[tokio::test]
async fn a_cancelled_upload_leaves_nothing() {
    let (server, directory) = server(true).await;
    let id = create(&server, 3).await;
    add(&server, &id, "abc").await;
    let cancelled = server.post(&format!("{UPLOADS}/{id}/cancel"), "").await;
    assert_eq!((cancelled.status, &cancelled.json()["status"]), (StatusCode::OK, &json!("cancelled")));
    assert_eq!(left(directory.path()), (0, 0));
    for reply in
        [add(&server, &id, "abc").await, complete(&server, &id, &[]).await, add(&server, "upload_1", "a").await]
    {
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
    }
    // A file is no upload.
    let file = super::files::upload(&server, &[], "x").await.json();
    let id = file["id"].as_str().unwrap().replace("file-", "upload_");
    assert_eq!(server.post(&format!("{UPLOADS}/{id}/cancel"), "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn uploads_of_other_tenants_are_none() {
    let (server, _directory) = server(false).await;
    let own = server.key("voice", &[Scope::Submit], None).await;
    let other = server.key("other", &[Scope::Submit], None).await;
    let post = async |key: &str, path: &str, body: &Value| {
        server.call(Method::POST, path, &[("authorization", key)], &body.to_string()).await
    };
    let upload = post(&own, UPLOADS, &intended(3)).await.json();
    let path = |rest: &str| format!("{UPLOADS}/{}/{rest}", upload["id"].as_str().unwrap());
    let parts = json!({ "part_ids": [] });
    for (path, body) in [(path("complete"), &parts), (path("cancel"), &json!({}))] {
        assert_eq!(post(&other, &path, body).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(post(&own, &path("cancel"), &json!({})).await.status, StatusCode::OK);
}
