use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use raincheck_core::gate::ConcurrencyLimit;
use raincheck_upstream::{Protocol, Request, Try};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::{Reply, Server, config, upstreams};

#[tokio::test]
async fn no_more_calls_are_under_way_than_may_be_and_all_come_through() {
    let slow = Reply { wait: Duration::from_millis(20), ..Reply::json(200, &json!({})) };
    let server = Server::start(vec![slow]).await;
    let mut config = config(&server.url);
    config.concurrency = ConcurrencyLimit::Fixed(5);
    let upstreams = Arc::new(upstreams(vec![("one", config)]));
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let upstreams = Arc::clone(&upstreams);
        calls.spawn(async move {
            let routes = upstreams.routes(Protocol::Openai, "m", None).unwrap();
            let request = |_: &_| Request::post("/x", Bytes::new());
            let answer = upstreams.pass(&routes, 1, Duration::from_secs(30), request).await.ok().unwrap();
            answer.read(100).await.unwrap();
        });
    }
    while let Some(call) = calls.join_next().await {
        call.unwrap();
    }
    assert_eq!((server.most.load(Ordering::SeqCst), server.asked().len()), (5, 100));
}

/// 500 requests and 100,000 tokens a minute, ten minutes of more demand than that, calls of two seconds.
#[tokio::test(start_paused = true)]
async fn limits_of_a_minute_are_used_and_never_passed() {
    for tokens_per_call in [10, 1_000] {
        let mut config = config("http://127.0.0.1:1");
        (config.requests_per_minute, config.tokens_per_minute) = (Some(500), Some(100_000));
        config.concurrency = ConcurrencyLimit::Fixed(1_000);
        let upstreams = upstreams(vec![("one", config)]);
        let gate = Arc::clone(upstreams.routes(Protocol::Openai, "m", None).unwrap()[0].gate());
        let (start, mut taken, mut permits) = (Instant::now(), Vec::new(), JoinSet::new());
        while start.elapsed() < Duration::from_secs(600) {
            let permit = gate.enter(tokens_per_call, Try::First, Duration::from_secs(120)).await.ok().unwrap();
            taken.push(start.elapsed());
            permits.spawn(async move {
                tokio::time::sleep(Duration::from_secs(2)).await;
                drop(permit);
            });
        }
        let per_minute = 500.min(100_000 / usize::try_from(tokens_per_call).unwrap());
        let within =
            |from: Duration| taken.iter().filter(|at| **at >= from && **at < from + Duration::from_secs(60)).count();
        let most = taken.iter().map(|from| within(*from)).max().unwrap();
        println!("{tokens_per_call} tokens a call: {} in ten minutes, at most {most} in one", taken.len());
        assert!(most <= per_minute, "{most} in a minute, {per_minute} may be");
        assert!(taken.len() * 100 >= per_minute * 10 * 95, "{} of {}", taken.len(), per_minute * 10);
    }
}
