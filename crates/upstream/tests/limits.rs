use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use raincheck_core::gate::ConcurrencyLimit;
use raincheck_upstream::{Protocol, Request, Try, Usage, Why};
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

/// Whoever comes while others wait takes nothing of the limit before it is let through.
#[tokio::test(start_paused = true)]
async fn who_waits_behind_others_takes_nothing_meanwhile() {
    let mut config = config("http://127.0.0.1:1");
    (config.requests_per_minute, config.tokens_per_minute) = (Some(100), Some(10_000));
    config.concurrency = ConcurrencyLimit::Fixed(100);
    let upstreams = upstreams(vec![("one", config)]);
    let gate = Arc::clone(upstreams.routes(Protocol::Openai, "m", None).unwrap()[0].gate());
    let _served = gate.enter(900, Try::First, Duration::ZERO).await.ok().unwrap();
    let mut waiting = JoinSet::new();
    for (tokens, patience) in std::iter::once((9_500, 10)).chain([(10, 5); 20]) {
        let (gate, patience) = (Arc::clone(&gate), Duration::from_secs(patience));
        waiting.spawn(async move { gate.enter(tokens, Try::First, patience).await.err().unwrap().why });
        tokio::task::yield_now().await;
    }
    let used = || gate.status().requests.unwrap().used;
    assert_eq!(used(), 1);
    while let Some(why) = waiting.join_next().await {
        assert!(matches!(why.unwrap(), Why::Limit | Why::Busy));
    }
    assert_eq!(used(), 1, "the upstream saw one");
}

/// Ten minutes of calls of all sizes, more than either limit allows, by many callers at once.
#[tokio::test(start_paused = true)]
async fn calls_of_mixed_sizes_use_nearly_all_of_a_limit_and_never_more() {
    const MINUTE: Duration = Duration::from_secs(60);
    // What each of ten calls in a row costs: tokens are scarcer than requests, then requests than tokens.
    let mixes = [[10, 4_000, 10, 10, 900, 10, 6_000, 50, 10, 300], [10, 400, 10, 10, 90, 10, 600, 50, 10, 300]];
    for (mix, is_by_tokens) in mixes.into_iter().zip([true, false]) {
        let mut config = config("http://127.0.0.1:1");
        (config.requests_per_minute, config.tokens_per_minute) = (Some(500), Some(100_000));
        config.concurrency = ConcurrencyLimit::Fixed(1_000);
        let upstreams = upstreams(vec![("one", config)]);
        let gate = Arc::clone(upstreams.routes(Protocol::Openai, "m", None).unwrap()[0].gate());
        let start = Instant::now();
        let mut callers = JoinSet::new();
        for caller in 0..200 {
            let gate = Arc::clone(&gate);
            callers.spawn(async move {
                let mut taken = Vec::new();
                for number in caller.. {
                    let tokens = mix[number % mix.len()];
                    let permit = gate.enter(tokens, Try::First, Duration::from_secs(600)).await;
                    let at = start.elapsed();
                    if at >= 10 * MINUTE {
                        break;
                    }
                    drop(permit.ok().unwrap());
                    taken.push((at, tokens));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                taken
            });
        }
        let mut taken = callers.join_all().await.concat();
        taken.sort_unstable();
        let of_minute = |from: Duration| taken.iter().filter(move |(at, _)| *at >= from && *at < from + MINUTE);
        let tokens_from = |from| of_minute(from).map(|(_, tokens)| tokens).sum::<u64>();
        let most_requests = taken.iter().map(|(from, _)| of_minute(*from).count()).max().unwrap();
        let most_tokens = taken.iter().map(|(from, _)| tokens_from(*from)).max().unwrap();
        let tokens: u64 = taken.iter().map(|(_, tokens)| tokens).sum();
        println!("{} requests, {tokens} tokens; in a minute {most_requests}, {most_tokens}", taken.len());
        assert!(most_requests <= 500 && most_tokens <= 100_000, "{most_requests} requests, {most_tokens} tokens");
        let (used, all) = if is_by_tokens { (tokens, 1_000_000) } else { (taken.len() as u64, 5_000) };
        assert!(used * 100 >= all * 95, "{used} of {all}");
    }
}

/// What an answer comes to beyond its estimate is taken from the limit while it comes, and the truth replaces it at its end.
#[tokio::test]
async fn a_long_answer_counts_while_it_comes() {
    let data = |event: &serde_json::Value| Bytes::from(format!("data: {event}\n\n"));
    let hundred_tokens = data(&json!({"choices": [{"delta": {"content": "four".repeat(100)}}]}));
    let last = data(&json!({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 500}}));
    let mut pieces = vec![(Duration::ZERO, hundred_tokens); 30];
    pieces.push((Duration::from_secs(1), [last, Bytes::from_static(b"data: [DONE]\n\n")].concat().into()));
    let headers = vec![("content-type", "text/event-stream".to_owned())];
    let server = Server::start(vec![Reply { headers, pieces, ..Reply::json(200, &json!({})) }]).await;
    let mut config = config(&server.url);
    // Of which a tenth may be begun in the same six seconds.
    config.tokens_per_minute = Some(10_000);
    let upstreams = upstreams(vec![("one", config)]);
    let route = upstreams.routes(Protocol::Openai, "m", None).unwrap().remove(0);
    let permit = route.gate().try_enter(10, Try::First).unwrap();
    let mut answer = route.send(permit, &Request::post("/x", Bytes::new())).await.unwrap();
    assert!(route.gate().free() > 0, "what is expected of it is little");
    let mut read = Vec::new();
    while read.iter().filter(|byte| **byte == b'\n').count() < 2 * 30 {
        read.extend(answer.body.next().await.unwrap().unwrap());
    }
    assert_eq!(route.gate().try_enter(1, Try::First).err().unwrap().why, Why::Limit);
    while answer.body.next().await.is_some() {}
    assert!(route.gate().try_enter(1, Try::First).is_ok(), "it came to 510 tokens after all");
}

/// A call of more than a minute, whose estimate is forgotten before its answer comes.
#[tokio::test(start_paused = true)]
async fn what_a_call_of_minutes_cost_counts_when_it_is_known() {
    let mut config = config("http://127.0.0.1:1");
    config.tokens_per_minute = Some(10_000);
    let upstreams = upstreams(vec![("one", config)]);
    let gate = Arc::clone(upstreams.routes(Protocol::Openai, "m", None).unwrap()[0].gate());
    let permit = gate.try_enter(1_000, Try::First).unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    permit.end(Some(Usage { input: 100, output: 9_900 }));
    assert_eq!(gate.try_enter(1, Try::First).err().unwrap().why, Why::Limit);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(gate.try_enter(1, Try::First).is_ok());
}

/// One provider says -1 of what it does not know, and of a 429 not when to come back.
#[tokio::test]
async fn what_an_upstream_does_not_know_of_its_limits_closes_nothing() {
    let unknown = |reply: Reply| {
        let names = ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens"];
        let reply = names.into_iter().fold(reply, |reply, name| reply.with(name, "-1"));
        reply.with("x-ratelimit-reset-requests", "0").with("x-ratelimit-reset-tokens", "0")
    };
    let limit = json!({"error": {"code": "429", "message": "slow down"}});
    let server = Server::start(vec![unknown(Reply::json(200, &json!({}))), unknown(Reply::json(429, &limit))]).await;
    let mut config = config(&server.url);
    (config.requests_per_minute, config.tokens_per_minute) = (Some(100), Some(100_000));
    let upstreams = upstreams(vec![("one", config)]);
    let route = upstreams.routes(Protocol::Openai, "m", None).unwrap().remove(0);
    let request = Request::post("/x", Bytes::new());
    let answer = route.send(route.gate().try_enter(10, Try::First).unwrap(), &request).await.unwrap();
    answer.read(100).await.unwrap();
    assert!(route.gate().free() > 0);
    let refused = route.send(route.gate().try_enter(10, Try::First).unwrap(), &request).await.err().unwrap();
    assert_eq!((refused.status, refused.retry_after), (Some(429), None));
    let closed = route.gate().try_enter(10, Try::First).err().unwrap();
    assert_eq!(closed.why, Why::Throttled);
    assert!(closed.wait <= Duration::from_secs(1), "{closed:?}");
}
