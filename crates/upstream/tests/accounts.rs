//! What counts together is what the provider counts together: an account, whatever it is called here, and whoever's it is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use raincheck_core::gate::ConcurrencyLimit;
use raincheck_upstream::{Gate, NoOwnKey, Protocol, Request, Route, Secret, Try, UpstreamConfig, Upstreams, Why};
use serde_json::json;

use crate::support::{Reply, Server, config, upstreams};

fn with_key(url: &str, key: &str, change: impl FnOnce(&mut UpstreamConfig)) -> UpstreamConfig {
    let mut config = config(url);
    config.api_key = Some(Secret::new(key.into()));
    (config.requests_per_minute, config.concurrency) = (Some(100), ConcurrencyLimit::Fixed(5));
    change(&mut config);
    config
}

fn route(upstreams: &Upstreams, name: &str) -> Route {
    upstreams.routes(Protocol::Openai, "m", Some(name)).unwrap().remove(0)
}

fn enter(gate: &Arc<Gate>) -> Result<raincheck_upstream::Permit, Why> {
    gate.try_enter(1, Try::First).map_err(|closed| closed.why)
}

#[tokio::test(start_paused = true)]
async fn two_names_for_one_account_have_one_limit() {
    const URL: &str = "http://127.0.0.1:1/v1";
    let upstreams = upstreams(vec![
        ("fast", with_key(URL, "k", |_| ())),
        ("slow", with_key("http://127.0.0.1:1/v1/", "k", |config| config.native_background = true)),
        ("other-key", with_key(URL, "k2", |_| ())),
        ("other-limit", with_key(URL, "k", |config| config.requests_per_minute = Some(150))),
    ]);
    let gates = ["fast", "slow", "other-key", "other-limit"].map(|name| Arc::clone(route(&upstreams, name).gate()));
    let [fast, slow, other_key, other_limit] = &gates;
    assert_ne!(fast.lane(), slow.lane(), "jobs wait for the one that they named");
    let openings = upstreams.openings().known;
    assert!(openings[fast.lane()] + openings[slow.lane()] <= other_key.free() + 1, "{openings:?}");
    let held: Vec<_> = (0..5).map(|_| enter(fast).unwrap()).collect();
    assert_eq!(enter(slow).err(), Some(Why::Busy));
    assert!(enter(other_key).is_ok() && enter(other_limit).is_ok());
    assert_eq!((fast.status().under_way, slow.status().under_way), (5, 5));
    // Whoever waits at the one is let through when the other is left.
    let waits = {
        let slow = Arc::clone(slow);
        async move { slow.enter(1, Try::First, Duration::from_secs(300)).await.map(drop).map_err(|closed| closed.why) }
    };
    let leaves = async {
        tokio::task::yield_now().await;
        drop(held);
    };
    assert_eq!(tokio::join!(waits, leaves).0, Ok(()));
    assert_eq!(fast.status().requests.unwrap().used, slow.status().requests.unwrap().used);
}

async fn sent(route: &Route) -> Option<u16> {
    let permit = route.gate().try_enter(1, Try::First).ok()?;
    let request = Request::post("/chat/completions", Bytes::from_static(b"{}"));
    match route.send(permit, &request).await {
        Ok(answer) => Some(answer.status.as_u16()),
        Err(failure) => failure.status,
    }
}

#[tokio::test]
async fn a_callers_own_key_is_sent_and_has_limits_of_its_own() {
    let throttled = Reply::json(429, &json!({})).with("retry-after", "60");
    let server = Server::start(vec![throttled, Reply::json(200, &json!({}))]).await;
    let elsewhere = Server::start(vec![Reply::json(200, &json!({}))]).await;
    let passing = |url: &str| with_key(url, "sk-server", |config| config.pass_through_key = true);
    let mut one = passing(&server.url);
    one.fallback = vec!["elsewhere".into(), "same".into()];
    let upstreams = upstreams(vec![
        ("elsewhere", passing(&elsewhere.url)),
        ("one", one),
        ("same", passing(&server.url)),
        ("strict", with_key(&server.url, "sk-server", |_| ())),
    ]);
    let routes = || upstreams.routes(Protocol::Openai, "m", Some("one")).unwrap();
    let own = |key: &str| upstreams.with_own_key(routes(), &Secret::new(key.into())).unwrap();
    let names: Vec<String> = own("sk-a").iter().map(|route| route.served().upstream).collect();
    assert_eq!(names, ["one", "same"], "a key goes to nobody but the address that it is for");
    assert_eq!(sent(&own("sk-a")[0]).await, Some(429));
    assert_eq!(sent(&own("sk-a")[0]).await, None, "its gate is shut");
    assert_eq!(sent(&own("sk-a")[1]).await, None, "and so is the same account by another name");
    assert_eq!(sent(&own("sk-b")[0]).await, Some(200));
    assert_eq!(sent(&routes()[0]).await, Some(200));
    let keys: Vec<_> = server.asked().iter().map(|asked| asked.headers["authorization"].clone()).collect();
    assert_eq!(keys, ["Bearer sk-a", "Bearer sk-b", "Bearer sk-server"]);
    let status = format!("{:?} {:?}", upstreams.status(), own("sk-a")[0].config());
    assert!(!status.contains("sk-"), "{status}");
    let strict = upstreams.routes(Protocol::Openai, "m", Some("strict")).unwrap();
    let refused = upstreams.with_own_key(strict, &Secret::new("sk-a".into())).err();
    assert_eq!(refused, Some(NoOwnKey::NotPassed("strict".into())));
}
