use raincheck_simulator::{Dialect, SimConfig};
use serde_json::{Value, json};

use crate::client::{get, post, post_with, request};
use crate::{ANYWHERE, QUICK, simulator};

const CHAT: &str = "/openai/v1/chat/completions";
const MESSAGES: &str = "/anthropic/v1/messages";

fn chat() -> Value {
    json!({"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "12345678"}]})
}

#[tokio::test]
async fn the_configuration_is_read_and_replaced() {
    let sim = simulator("{}").await;
    let before = get(sim.address(), "/sim/config").await.json();
    assert_eq!((&before["seed"], &before["time_scale"]), (&json!(0), &json!(1.0)));
    let put = async |body: &str| request(sim.address(), "PUT", "/sim/config", &[], body.as_bytes()).await;
    let refused = put(r#"{"sead": 1}"#).await;
    assert!(refused.status == 400 && refused.text().contains("unknown field `sead`"), "{}", refused.text());
    assert_eq!(get(sim.address(), "/sim/config").await.json(), before);
    assert_eq!(
        put(r#"{"seed": 7, "behaviour": {"first_token_ms": {"normal": {"mean": 9, "stddev": 1}}}}"#).await.status,
        200
    );
    assert_eq!((sim.config().seed, get(sim.address(), "/sim/config").await.json()["seed"].as_u64()), (7, Some(7)));
    let again = SimConfig::from_json(&get(sim.address(), "/sim/config").await.text()).unwrap();
    assert_eq!(again, sim.config());
}

#[test]
fn the_page_about_it_is_right() {
    let page = include_str!("../../../docs/simulator.md");
    let json = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    SimConfig::from_json(json).unwrap();
    let table = page.split("## Faults").nth(1).unwrap().split("A fault also has").next().unwrap();
    let named = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let kinds: Vec<&str> = named.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert_eq!(kinds.len(), 23);
    for kind in kinds {
        let fault = json!({"kind": kind, "status": 500});
        serde_json::from_value::<raincheck_simulator::Fault>(fault).unwrap();
    }
}

#[tokio::test]
async fn limits_are_announced_enforced_and_breaches_noted() {
    let sim = simulator(
        r#"{"behaviour": {"call_ms": {"constant": 0}, "limits": {"requests": 2, "tokens": 1000, "input_tokens": 900}}}"#,
    )
    .await;
    let first = post(sim.address(), CHAT, &chat()).await;
    assert_eq!(first.headers["x-ratelimit-limit-requests"], "2");
    assert_eq!(first.headers["x-ratelimit-remaining-requests"], "1");
    assert_eq!(first.headers["x-ratelimit-remaining-tokens"], (1000 - 3 - 10).to_string());
    assert!(first.headers["x-ratelimit-reset-requests"].ends_with('s'));
    assert_eq!(post(sim.address(), CHAT, &chat()).await.status, 200);
    let over = post(sim.address(), CHAT, &chat()).await;
    assert_eq!((over.status, &over.json()["error"]["type"]), (429, &json!("requests")));
    assert!(over.text().contains("Limit 2, Used 2, Requested 1. Please try again in "), "{}", over.text());
    let (ms, seconds): (u64, u64) =
        (over.headers["retry-after-ms"].parse().unwrap(), over.headers["retry-after"].parse().unwrap());
    assert!((50_000..=60_000).contains(&ms) && seconds == ms.div_ceil(1000), "{ms} {seconds}");

    let other = post(sim.address(), MESSAGES, &chat()).await;
    assert_eq!(other.headers["anthropic-ratelimit-requests-remaining"], "1");
    assert_eq!(other.headers["anthropic-ratelimit-input-tokens-limit"], "900");
    assert!(other.headers["anthropic-ratelimit-tokens-reset"].ends_with('Z'));
    let ledger = sim.ledger();
    assert_eq!((ledger.total.breaches, ledger.dialects[&Dialect::Openai].breaches), (1, 1));
    let usage = ledger.limits.iter().find(|usage| usage.dialect == Dialect::Openai).unwrap();
    assert_eq!((usage.requests_peak, usage.tokens_peak, usage.breaches), (2, 26, 1));
}

#[tokio::test]
async fn calls_at_once_are_limited() {
    let sim = simulator(r#"{"behaviour": {"call_ms": {"constant": 400}, "limits": {"concurrent": 1}}}"#).await;
    let (one, other, body) = (sim.address(), sim.address(), chat());
    let (one, other) = tokio::join!(post(one, CHAT, &body), post(other, CHAT, &body));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 429]);
    assert_eq!(post(sim.address(), CHAT, &body).await.status, 200);
    assert_eq!(sim.ledger().total.under_way_peak, 1);
}

#[tokio::test]
async fn keys_are_grouped_always_and_honoured_on_demand() {
    let key = [("idempotency-key", "k1")];
    let sim = simulator(QUICK).await;
    let one = post_with(sim.address(), CHAT, &key, &chat()).await.json();
    assert_ne!(post_with(sim.address(), CHAT, &key, &chat()).await.json()["id"], one["id"]);
    assert_eq!(sim.ledger().keys["k1"].executions, 2);

    sim.reset();
    sim.configure(SimConfig { honour_idempotency_keys: true, ..sim.config() }).unwrap();
    let one = post_with(sim.address(), CHAT, &key, &chat()).await.json();
    assert_eq!(post_with(sim.address(), CHAT, &key, &chat()).await.json(), one);
    let other = json!({"model": "other", "messages": []});
    assert_eq!(post_with(sim.address(), CHAT, &key, &other).await.status, 422);
    let lost = [("idempotency-key", "k2"), ("x-sim-fault", "lost_answer")];
    assert_eq!(post_with(sim.address(), CHAT, &lost, &chat()).await.status, 0);
    assert_eq!(post_with(sim.address(), CHAT, &lost[..1], &chat()).await.status, 200);
    let keys = sim.ledger().keys;
    assert_eq!((keys["k1"].executions, keys["k1"].replayed), (1, 1));
    assert_eq!((keys["k2"].executions, keys["k2"].replayed), (1, 1));
    let background = json!({"model": "m", "input": "x", "background": true});
    let begin = || post_with(sim.address(), "/openai/v1/responses", &[("idempotency-key", "k3")], &background);
    let (one, other) = (begin().await.json(), begin().await.json());
    assert_eq!(one["id"], other["id"]);
    assert_eq!(sim.ledger().keys["k3"].executions, 1);
}

#[tokio::test]
async fn requests_are_noted_page_by_page() {
    let sim = simulator(QUICK).await;
    for number in 0..3 {
        let body = json!({"model": "m", "input": format!("{number}")});
        post_with(sim.address(), "/openai/v1/embeddings?x=1", &[("x-stainless-retry-count", "1")], &body).await;
    }
    let page = get(sim.address(), "/sim/requests?after=1&limit=1").await.json();
    let noted = &page["requests"][0];
    assert_eq!((&noted["number"], &noted["path"]), (&json!(2), &json!("/openai/v1/embeddings?x=1")));
    assert_eq!((&noted["headers"]["x-stainless-retry-count"], &noted["status"]), (&json!("1"), &json!(200)));
    assert_eq!(noted["body"], json!({"input": "1", "model": "m"}).to_string());
    assert_eq!(noted["body_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(post(sim.address(), "/sim/reset", &json!({})).await.status, 204);
    assert_eq!(get(sim.address(), "/sim/requests").await.json()["requests"], json!([]));
    assert_eq!(get(sim.address(), "/sim/ledger").await.json()["total"]["received"], 0);
}

#[tokio::test]
async fn it_says_what_it_is_and_stops() {
    let sim = simulator(QUICK).await;
    let about = get(sim.address(), "/").await;
    assert!(about.text().contains("nothing here is real"));
    let address = sim.address();
    sim.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    let wrong = SimConfig { time_scale: -1.0, ..SimConfig::default() };
    assert!(raincheck_simulator::Simulator::start(wrong, ANYWHERE).await.is_err());
}
