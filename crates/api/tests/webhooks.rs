//! Webhooks: who is told what, in whose words, and how a receiver knows that it is us.

use axum::http::{HeaderMap, Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use raincheck_api::{ApiSettings, Doors};
use raincheck_store::{Limits, Scope};
use raincheck_upstream::{Egress, Messenger};
use ring::hmac;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::Server;
use crate::support::receiver::{Receiver, Told};

/// Settings of a server that may tell this machine things.
fn settings(keyless: bool) -> ApiSettings {
    let messenger = Some(Messenger::new(Egress { allow: vec!["127.0.0.0/8".parse().unwrap()] }));
    ApiSettings { keyless, doors: Doors { messenger, ..Doors::default() }, ..ApiSettings::default() }
}

async fn server() -> Server {
    Server::with(settings(true), Limits::default()).await
}

fn wish(kind: &str, webhook: &str) -> String {
    json!({ "kind": kind, "input": { "n": 1 }, "webhook": webhook }).to_string()
}

async fn secret(server: &Server) -> String {
    server.get("/v1/webhooks/secret").await.json()["secret"].as_str().unwrap().to_owned()
}

/// Whether one of the signatures is made with this secret, as the Standard Webhooks specification has it.
fn is_signed(told: &Told, secret: &str) -> bool {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let text = format!("{}.{}.", told.header("webhook-id"), told.header("webhook-timestamp"));
    let message = [text.as_bytes(), &told.body].concat();
    told.header("webhook-signature").split(' ').any(|signature| {
        let tag = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key), &message, &tag).is_ok()
    })
}

/// The delivery of a job once it is settled.
async fn settled(server: &Server, job: &str) -> Value {
    let path = format!("/v1/jobs/{job}/webhook");
    loop {
        let delivery = server.get(&path).await.json();
        if delivery["state"] != "pending" {
            return delivery;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_end_of_a_job_is_told_with_what_it_gave() {
    let (server, receiver) = (server().await, Receiver::new().await);
    let job = server.finish(&wish("echo", &receiver.url())).await;
    let told = receiver.heard(1).await.remove(0);
    assert!(is_signed(&told, &secret(&server).await));
    assert_eq!(told.header("content-type"), "application/json");
    assert!(told.header("user-agent").starts_with("raincheck/"));
    let body = told.json();
    assert_eq!(body["type"], "job.completed");
    assert_eq!(body["data"]["result"], json!({ "n": 1 }));
    let mut shown = server.get(&format!("/v1/jobs/{job}")).await.json();
    shown.as_object_mut().unwrap().remove("steps");
    assert_eq!((&body["data"], &body["timestamp"]), (&shown, &shown["finished_at"]), "as whoever polls sees it");
    let delivery = settled(&server, &job).await;
    assert_eq!((&delivery["state"], &delivery["tries"]), (&json!("delivered"), &json!(1)));
    assert_eq!((&delivery["url"], &delivery["last_answer"]), (&json!(receiver.url()), &json!("204 No Content")));
    let metrics = server.get("/metrics").await;
    assert!(
        metrics.text().contains("raincheck_webhook_deliveries_total{outcome=\"delivered\"} 1"),
        "{}",
        metrics.text()
    );
}

#[tokio::test]
async fn a_failure_and_a_cancel_are_ends_as_well() {
    let (server, receiver) = (server().await, Receiver::new().await);
    server.submit(&wish("fail", &receiver.url())).await;
    let failed = receiver.heard(1).await.remove(0).json();
    assert_eq!((&failed["type"], &failed["data"]["error"]["detail"]), (&json!("job.failed"), &json!("it broke")));
    let waiting = server.submit(&wish("remote", &receiver.url())).await;
    server.post(&format!("/v1/jobs/{waiting}/cancel"), "").await;
    let cancelled = receiver.heard(2).await.remove(1).json();
    assert_eq!((&cancelled["type"], &cancelled["data"]["id"]), (&json!("job.cancelled"), &json!(waiting)));
}

#[tokio::test]
async fn a_large_result_is_left_out_and_read_where_the_links_say() {
    let (server, receiver) = (server().await, Receiver::new().await);
    let input = "x".repeat(300 << 10);
    let body = json!({ "kind": "echo", "input": input, "webhook": receiver.url() }).to_string();
    server.submit(&body).await;
    let told = receiver.heard(1).await.remove(0).json();
    assert_eq!((&told["data"]["state"], &told["data"]["result"]), (&json!("completed"), &Value::Null));
    let result = server.get(told["data"]["links"]["result"].as_str().unwrap()).await;
    assert_eq!(result.json(), json!(input));
}

#[tokio::test]
async fn each_telling_of_an_end_is_the_same_but_for_its_time() {
    let asked = HeaderMap::from_iter([("retry-after".parse().unwrap(), "0".parse().unwrap())]);
    let receiver =
        Receiver::answering([(StatusCode::SERVICE_UNAVAILABLE, asked), (StatusCode::GONE, HeaderMap::new())]).await;
    let server = server().await;
    let job = server.finish(&wish("echo", &receiver.url())).await;
    receiver.heard(1).await;
    let path = format!("/v1/jobs/{job}/webhook");
    let waiting = loop {
        let delivery = server.get(&path).await.json();
        if delivery["last_answer"].is_string() {
            break delivery;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    assert_eq!((&waiting["state"], &waiting["tries"]), (&json!("pending"), &json!(1)));
    assert_eq!(waiting["last_answer"], "503 Service Unavailable");
    assert!(waiting["next_try_at"].as_str() > waiting["last_try_at"].as_str());
    // At once, instead of in five seconds; and that one is not wanted any more.
    assert_eq!(server.post(&format!("{path}/redeliver"), "").await.status, StatusCode::ACCEPTED);
    receiver.heard(2).await;
    assert_eq!(settled(&server, &job).await["state"], "given_up");
    assert_eq!(server.post(&format!("{path}/redeliver"), "").await.status, StatusCode::ACCEPTED);
    let told = receiver.heard(3).await;
    assert_eq!(settled(&server, &job).await["state"], "delivered");
    for again in &told[1..] {
        assert_eq!((&again.body, again.header("webhook-id")), (&told[0].body, told[0].header("webhook-id")));
    }
}

#[tokio::test]
async fn a_new_secret_signs_beside_the_old_one() {
    let (server, receiver) = (server().await, Receiver::new().await);
    let old = secret(&server).await;
    let rotated = server.post("/v1/webhooks/secret/rotate", "").await.json();
    assert!(rotated["previous_until"].is_string());
    let new = secret(&server).await;
    assert_eq!(rotated["secret"], new.as_str());
    server.submit(&wish("echo", &receiver.url())).await;
    let told = receiver.heard(1).await.remove(0);
    assert!(old != new && is_signed(&told, &old) && is_signed(&told, &new));
}

#[tokio::test]
async fn an_address_that_may_not_be_told_anything_is_refused_and_no_job_made() {
    let server = server().await;
    for (url, why) in [
        ("https://10.0.0.1/", "not public"),
        ("https://169.254.169.254/latest", "not public"),
        ("http://1.1.1.1/", "https://"),
        ("ftp://a.example/", "https://"),
        ("https://user:pass@a.example/", "neither user nor password"),
        ("https://a.example/#x", "fragment"),
        ("https://a.example:22/", "port"),
        ("nonsense", "https://"),
        ("https://[::1%251]/", "no address"),
        (&*format!("https://a.example/{}", "x".repeat(2_048)), "2048 bytes"),
    ] {
        let reply = server.post("/v1/jobs", &wish("echo", url)).await;
        let problem = reply.json();
        assert_eq!(
            (reply.status, &problem["pointer"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!("/webhook")),
            "{url}"
        );
        assert!(problem["detail"].as_str().unwrap().contains(why), "{problem}");
    }
    let batch = json!({ "jobs": [{ "kind": "echo" }, { "kind": "echo", "webhook": "https://127.0.0.1:25/" }] });
    let reply = server.post("/v1/jobs:batch", &batch.to_string()).await;
    assert_eq!((reply.status, &reply.json()["pointer"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("/jobs/1/webhook")));
    assert_eq!(server.get("/v1/jobs").await.json()["jobs"], json!([]));
    let without = Server::keyless().await.post("/v1/jobs", &wish("echo", "https://a.example/")).await;
    assert!(without.json()["detail"].as_str().unwrap().contains("tells no webhooks"), "{}", without.text());
}

#[tokio::test]
async fn a_job_that_is_to_be_told_of_is_kept_long_enough() {
    let body = json!({ "kind": "echo", "webhook": "https://a.example/", "retention": 60 }).to_string();
    let reply = server().await.post("/v1/jobs", &body).await;
    assert_eq!((reply.status, &reply.json()["pointer"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("/retention")));
}

#[tokio::test]
async fn a_job_without_a_webhook_has_no_delivery_and_one_that_runs_none_to_repeat() {
    let (server, receiver) = (server().await, Receiver::new().await);
    let silent = server.finish(r#"{"kind": "echo"}"#).await;
    for (method, rest) in [(Method::GET, ""), (Method::POST, "/redeliver")] {
        let reply = server.call(method, &format!("/v1/jobs/{silent}/webhook{rest}"), &[], "").await;
        assert_eq!(reply.json()["type"], "urn:raincheck:problem:no-webhook");
    }
    let waiting = server.submit(&wish("remote", &receiver.url())).await;
    let reply = server.post(&format!("/v1/jobs/{waiting}/webhook/redeliver"), "").await;
    assert_eq!(reply.status, StatusCode::CONFLICT, "{}", reply.text());
    let delivery = server.get(&format!("/v1/jobs/{waiting}/webhook")).await.json();
    assert_eq!(delivery, json!({ "url": receiver.url(), "state": "pending", "tries": 0 }));
}

#[tokio::test]
async fn tenants_have_secrets_of_their_own_and_see_only_their_own_deliveries() {
    let (server, receiver) = (Server::with(settings(false), Limits::default()).await, Receiver::new().await);
    let (own, other) = (server.key("a", &Scope::ALL[..2], None).await, server.key("b", &Scope::ALL[..2], None).await);
    let secret_of = async |key: &str| {
        server.call(Method::GET, "/v1/webhooks/secret", &[("authorization", key)], "").await.json()["secret"].clone()
    };
    assert_ne!(secret_of(&own).await, secret_of(&other).await);
    let body = wish("echo", &receiver.url());
    let job = server.call(Method::POST, "/v1/jobs", &[("authorization", &own)], &body).await.id();
    let told = receiver.heard(1).await.remove(0);
    assert!(is_signed(&told, secret_of(&own).await.as_str().unwrap()));
    for (method, rest) in [(Method::GET, ""), (Method::POST, "/redeliver")] {
        let path = format!("/v1/jobs/{job}/webhook{rest}");
        let reply = server.call(method, &path, &[("authorization", &other)], "").await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
    }
}

async fn dialects() -> Server {
    Server::dialects_with(settings(true)).await
}

/// Whether FAL's own recipe verifies it, with the key that the door publishes.
async fn is_signed_as_by_fal(server: &Server, told: &Told) -> bool {
    let keys = server.get("/fal/.well-known/jwks.json").await.json();
    let key = URL_SAFE_NO_PAD.decode(keys["keys"][0]["x"].as_str().unwrap()).unwrap();
    let hash: String = Sha256::digest(&told.body).iter().map(|byte| format!("{byte:02x}")).collect();
    let of = |name: &str| told.header(&format!("x-fal-webhook-{name}")).to_owned();
    let message = format!("{}\n{}\n{}\n{hash}", of("request-id"), of("user-id"), of("timestamp"));
    let text = of("signature");
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    let signature: Vec<u8> = (0..text.len()).step_by(2).map(byte).collect();
    UnparsedPublicKey::new(&ED25519, key).verify(message.as_bytes(), &signature).is_ok()
}

#[tokio::test]
async fn fals_clients_are_told_in_its_words() {
    let (server, receiver) = (dialects().await, Receiver::new().await);
    let path = format!("/fal/fal-ai/flux/dev?fal_webhook={}", receiver.url().replace(':', "%3A").replace('/', "%2F"));
    let accepted = server.post(&path, r#"{"prompt": "a fox"}"#).await.json();
    let told = receiver.heard(1).await.remove(0);
    assert!(is_signed_as_by_fal(&server, &told).await && is_signed(&told, &secret(&server).await));
    let body = told.json();
    assert_eq!((&body["request_id"], &body["status"]), (&accepted["request_id"], &json!("OK")));
    let result = server.get(accepted["response_url"].as_str().unwrap().strip_prefix("http://localhost").unwrap()).await;
    assert_eq!(body["payload"], result.json());
    server.post(&path, r#"{"prompt": "refused"}"#).await;
    let refused = receiver.heard(2).await.remove(1).json();
    assert_eq!((&refused["status"], &refused["payload"]["detail"][0]["msg"]), (&json!("ERROR"), &json!("too rude")));
    assert!(refused["error"].as_str().unwrap().contains("422"), "{refused}");
    let bad = server.post("/fal/fal-ai/flux/dev?fal_webhook=http%3A%2F%2F10.0.0.1", "{}").await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn replicates_clients_are_told_of_what_they_want_to_hear() {
    let (server, receiver) = (dialects().await, Receiver::new().await);
    let create = async |prompt: &str, filter: Value| {
        let body = json!({
            "version": "owner/name:abc", "input": { "prompt": prompt },
            "webhook": receiver.url(), "webhook_events_filter": filter,
        });
        let reply = server.post("/replicate/v1/predictions", &body.to_string()).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
        reply.json()
    };
    let created = create("wait", json!(["start", "logs", "completed"])).await;
    let began = receiver.until(|told| told.iter().any(|told| told.json()["logs"] == "loading\n")).await;
    assert_eq!(began[0].json()["status"], "processing");
    server.gate.notify_one();
    let told = receiver.until(|told| told.iter().any(|told| told.json()["status"] == "succeeded")).await;
    let last = told.last().unwrap();
    let key = server.get("/replicate/v1/webhooks/default/secret").await.json()["key"].as_str().unwrap().to_owned();
    assert!(told.iter().all(|told| is_signed(told, &key)));
    let path = created["urls"]["get"].as_str().unwrap().strip_prefix("http://localhost").unwrap();
    assert_eq!(last.json(), server.get(path).await.json());
    let heard = told.len();
    create("a fox", json!(["completed"])).await;
    let told = receiver.heard(heard + 1).await;
    assert_eq!(told[heard].json()["status"], "succeeded", "nothing is told before the end of one that wants only that");
    let bad = json!({ "version": "a", "input": {}, "webhook": receiver.url(), "webhook_events_filter": ["ended"] });
    let reply = server.post("/replicate/v1/predictions", &bad.to_string()).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", reply.text());
}
