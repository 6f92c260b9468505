use axum::http::{Method, StatusCode};
use raincheck_api::{ApiSettings, Doors};
use raincheck_blob::{Blobs, FileId, Wanted};
use raincheck_core::Time;
use raincheck_store::Scope;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::call;
use crate::support::{Reply, Server};

const FILES: &str = "/openai/v1/files";
const BATCHES: &str = "/openai/v1/batches";
pub(super) const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=X");

pub(super) async fn server(keyless: bool) -> (Server, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let files = Some(Blobs::open(directory.path().join("uploads")).unwrap());
    let doors = Doors { files, ..Doors::default() };
    (Server::dialects_with(ApiSettings { keyless, doors, ..ApiSettings::default() }).await, directory)
}

/// The form as httpx and fetch send it.
fn form(purpose: &str, content: &str) -> String {
    format!(
        "--X\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n{purpose}\r\n--X\r\nContent-Disposition: form-data; \
         name=\"file\"; filename=\"in.jsonl\"\r\nContent-Type: application/octet-stream\r\n\r\n{content}\r\n--X--\r\n"
    )
}

pub(super) async fn upload(server: &Server, headers: &[(&str, &str)], content: &str) -> Reply {
    let headers: Vec<(&str, &str)> = headers.iter().copied().chain([FORM]).collect();
    server.call(Method::POST, FILES, &headers, &form("batch", content)).await
}

#[tokio::test]
async fn a_file_is_kept_listed_read_and_deleted() {
    let (server, _directory) = server(true).await;
    // Of such a length, and with what looks like a delimiter in it.
    let content = format!("{}\r\n--\r\n-X\r\n{}", "a\n".repeat(100_000), "\r\n-");
    let reply = upload(&server, &[], &content).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let file = reply.json();
    assert_eq!((&file["object"], &file["bytes"]), (&json!("file"), &json!(content.len())));
    assert_eq!(
        (&file["filename"], &file["purpose"], &file["status"]),
        (&json!("in.jsonl"), &json!("batch"), &json!("processed"))
    );
    let path = format!("{FILES}/{}", file["id"].as_str().unwrap());
    assert_eq!(server.get(&path).await.json(), file);
    let read = server.get(&format!("{path}/content")).await;
    assert_eq!((read.text() == content, read.header("content-type")), (true, Some("application/octet-stream")));
    let second = upload(&server, &[], "x").await.json();
    let list = server.get(&format!("{FILES}?purpose=batch&limit=1")).await.json();
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    assert_eq!(list["has_more"], true);
    let rest = server.get(&format!("{FILES}?limit=1&after={}", list["last_id"].as_str().unwrap())).await.json();
    let mut ids = [&list["data"][0]["id"], &rest["data"][0]["id"]].map(|id| id.as_str().unwrap());
    ids.sort_unstable();
    let mut both = [&file["id"], &second["id"]].map(|id| id.as_str().unwrap());
    both.sort_unstable();
    assert_eq!((ids, &rest["has_more"]), (both, &json!(false)));
    assert_eq!(server.get(&format!("{FILES}?purpose=other")).await.json()["data"], json!([]));
    let deleted = call(&server, Method::DELETE, &path, &[], &Value::Null).await;
    assert_eq!(deleted.json(), json!({ "id": file["id"], "object": "file", "deleted": true }));
    for path in [path.clone(), format!("{path}/content"), format!("{FILES}/..%2f..%2fetc"), format!("{FILES}/file-1")] {
        assert_eq!(server.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_file_is_kept_as_long_as_it_says() {
    let (server, directory) = server(true).await;
    let expiring = |anchor: &str, seconds: &str| {
        let part = |name: &str, value: &str| {
            format!("--X\r\nContent-Disposition: form-data; name=\"expires_after[{name}]\"\r\n\r\n{value}\r\n")
        };
        form("batch", "{}").replace("--X--", &format!("{}{}--X--", part("anchor", anchor), part("seconds", seconds)))
    };
    let reply = server.call(Method::POST, FILES, &[FORM], &expiring("created_at", "3600")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let file = reply.json();
    assert_eq!(file["expires_at"].as_u64().unwrap() - file["created_at"].as_u64().unwrap(), 3_600);
    assert_eq!(upload(&server, &[], "x").await.json()["expires_at"], json!(null));
    let batch = |seconds: u64| {
        let expiry = json!({ "anchor": "created_at", "seconds": seconds });
        json!({ "input_file_id": file["id"], "endpoint": "/v1/embeddings", "output_expires_after": expiry })
    };
    let created = server.post(BATCHES, &batch(2_592_000).to_string()).await.json();
    let job = created["id"].as_str().unwrap().replace("batch_", "job_").parse().unwrap();
    let input: Value = server.engine.store().input(job).await.unwrap().unwrap().parse().unwrap();
    assert_eq!(input["output_expires_after"]["seconds"], 2_592_000);
    let wrong = server.post(BATCHES, &batch(3_599).to_string()).await;
    assert_eq!(
        (wrong.status, &wrong.json()["error"]["param"]),
        (StatusCode::BAD_REQUEST, &json!("output_expires_after"))
    );
    for (anchor, seconds) in [("created_at", "3599"), ("created_at", "2592001"), ("created_at", "x"), ("now", "3600")] {
        let reply = server.call(Method::POST, FILES, &[FORM], &expiring(anchor, seconds)).await;
        assert_eq!(
            (reply.status, &reply.json()["error"]["param"]),
            (StatusCode::BAD_REQUEST, &json!("expires_after")),
            "{seconds}"
        );
    }
    assert_eq!(std::fs::read_dir(directory.path().join("uploads/.new")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_whose_time_has_passed_is_gone_before_it_is_removed() {
    let (server, _directory) = server(true).await;
    let blobs = server.settings.doors.files.as_ref().unwrap();
    let (tenant, filename) = ("default".parse().unwrap(), "old.jsonl".into());
    let id = FileId::new(Time::EPOCH, 1);
    let wanted = Wanted { id: id.clone(), tenant, filename, purpose: "batch".into(), created_at: Time::EPOCH };
    let mut file = blobs.begin(wanted, 100).await.unwrap();
    file.expire_at(Time::from_millis(1));
    file.finish().await.unwrap();
    assert_eq!(server.get(FILES).await.json()["data"], json!([]));
    for rest in ["", "/content"] {
        assert_eq!(server.get(&format!("{FILES}/{id}{rest}")).await.status, StatusCode::NOT_FOUND);
    }
    let batch = json!({ "input_file_id": id, "endpoint": "/v1/embeddings" });
    assert_eq!(server.post(BATCHES, &batch.to_string()).await.json()["error"]["param"], "input_file_id");
}

#[tokio::test]
async fn half_a_form_leaves_nothing() {
    let (server, directory) = server(true).await;
    let whole = form("batch", "abc");
    for (body, status) in [
        (whole[..whole.len() - 8].to_owned(), 400),
        (whole.replace("name=\"purpose\"", "name=\"other\""), 400),
        (whole.replace("\"file\"", "\"file2\""), 400),
        ("nonsense".to_owned(), 400),
        (whole.replace("form-data; ", ""), 400),
    ] {
        let reply = server.call(Method::POST, FILES, &[FORM], &body).await;
        assert_eq!(reply.status.as_u16(), status, "{body:?}: {}", reply.text());
        assert!(reply.json()["error"]["message"].is_string());
    }
    // What SDKs, and curl without -F, send where there is no file.
    let purpose = whole.split("--X\r\nContent-Disposition: form-data; name=\"file\"").next().unwrap();
    for (content_type, body) in [
        ("application/json", "{}"),
        ("application/x-www-form-urlencoded", "purpose=batch"),
        (FORM.1, "--X--\r\n"),
        (FORM.1, &format!("{purpose}--X--\r\n")),
        (FORM.1, &form("batch", "").replace("; filename=\"in.jsonl\"", "")),
    ] {
        let none = server.call(Method::POST, FILES, &[("content-type", content_type)], body).await;
        assert_eq!((none.status, &none.json()["error"]["param"]), (StatusCode::BAD_REQUEST, &json!("file")), "{body}");
    }
    assert_eq!(std::fs::read_dir(directory.path().join("uploads/.new")).unwrap().count(), 0);
    assert_eq!(server.get(FILES).await.json()["data"], json!([]));
}

#[tokio::test]
async fn a_file_is_for_what_openai_takes_files_for() {
    let (server, directory) = server(true).await;
    for purpose in ["assistants", "batch", "evals", "fine-tune", "user_data", "vision"] {
        let reply = server.call(Method::POST, FILES, &[FORM], &form(purpose, "x")).await;
        assert_eq!((reply.status, &reply.json()["purpose"]), (StatusCode::OK, &json!(purpose)));
    }
    for purpose in ["", ".upload", "fun", "Batch"] {
        let reply = server.call(Method::POST, FILES, &[FORM], &form(purpose, "x")).await;
        let error = reply.json()["error"].clone();
        assert_eq!((reply.status, &error["param"]), (StatusCode::BAD_REQUEST, &json!("purpose")), "{purpose}");
        let told = error["message"].as_str().unwrap();
        assert!(told.contains("assistants, batch, evals, fine-tune, user_data, vision"), "{told}");
    }
    assert_eq!(std::fs::read_dir(directory.path().join("uploads/.new")).unwrap().count(), 0);
}

#[tokio::test]
async fn files_of_other_tenants_are_none() {
    let (server, _directory) = server(false).await;
    let own = server.key("voice", &[Scope::Submit, Scope::Read], None).await;
    let other = server.key("other", &[Scope::Submit, Scope::Read], None).await;
    let file = upload(&server, &[("authorization", &own)], "x").await.json();
    let id = file["id"].as_str().unwrap();
    let header = [("authorization", other.as_str())];
    for (method, rest) in [(Method::GET, ""), (Method::GET, "/content"), (Method::DELETE, "")] {
        let reply = call(&server, method, &format!("{FILES}/{id}{rest}"), &header, &Value::Null).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(call(&server, Method::GET, FILES, &header, &Value::Null).await.json()["data"], json!([]));
    let batch = json!({ "input_file_id": id, "endpoint": "/v1/embeddings", "completion_window": "24h" });
    assert_eq!(call(&server, Method::POST, BATCHES, &header, &batch).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_batch_is_a_job_with_the_face_of_a_batch() {
    let (server, _directory) = server(true).await;
    let file = upload(&server, &[], "{}").await.json();
    let batch = |window: &str| json!({ "input_file_id": file["id"], "endpoint": "/v1/embeddings", "completion_window": window, "metadata": { "a": "b" } });
    let reply = server.post(BATCHES, &batch("24h").to_string()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let created = reply.json();
    assert_eq!((&created["object"], &created["metadata"]["a"]), (&json!("batch"), &json!("b")));
    assert_eq!(created["expires_at"].as_u64().unwrap() - created["created_at"].as_u64().unwrap(), 24 * 3600);
    let id = created["id"].as_str().unwrap();
    let mut reader =
        server.engine.follow(id.replace("batch_", "job_").parse().unwrap(), None, 0).await.unwrap().unwrap();
    while !reader.next().await.unwrap().is_empty() {}
    let ended = server.get(&format!("{BATCHES}/{id}")).await.json();
    assert_eq!((&ended["status"], &ended["output_file_id"]), (&json!("completed"), &json!("file-1")));
    assert_eq!(ended["request_counts"], json!({ "total": 3, "completed": 2, "failed": 1 }));
    // Of one that has ended nothing changes.
    let cancelled = server.post(&format!("{BATCHES}/{id}/cancel"), "").await.json();
    assert_eq!(cancelled["status"], "completed");
    let second = server.post(BATCHES, &batch("2h").to_string()).await.json();
    // An SDK that got no answer asks once more, and is given the one that it made.
    let again = call(&server, Method::POST, BATCHES, &[("x-stainless-retry-count", "1")], &batch("2h")).await.json();
    assert_eq!(again["id"], second["id"]);
    let list = server.get(&format!("{BATCHES}?limit=1")).await.json();
    assert_eq!((&list["data"][0]["id"], &list["has_more"]), (&second["id"], &json!(true)));
    let rest = server.get(&format!("{BATCHES}?after={}", list["last_id"].as_str().unwrap())).await.json();
    assert_eq!((&rest["data"][0]["id"], &rest["has_more"]), (&json!(id), &json!(false)));
    for wrong in ["24", "0h", "1000h"] {
        let reply = server.post(BATCHES, &batch(wrong).to_string()).await;
        assert_eq!(reply.json()["error"]["param"], "completion_window", "{}", reply.text());
    }
    assert_eq!(server.get(&format!("{BATCHES}/batch_1")).await.status, StatusCode::NOT_FOUND);
}
