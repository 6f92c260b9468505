//! Any slow endpoint, simulated.

use std::collections::BTreeMap;

use raincheck_core::{Outcome, ProblemType};
use raincheck_engine::{Engine, Registry};
use raincheck_kinds::HttpRequest;
use raincheck_simulator::{Dialect, Fault, FaultKind, FaultRule, RetryAfter, SimConfig, Simulator};
use raincheck_upstream::{Egress, Protocol, UpstreamConfig, Upstreams};
use serde_json::{Value, json};

use crate::support::{end, engine, submit};

async fn place() -> (Simulator, Engine) {
    let simulator = Simulator::start(SimConfig::default(), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let config = UpstreamConfig::new(Protocol::Http, simulator.url(Dialect::Http).parse().unwrap());
    let upstreams =
        Upstreams::new(BTreeMap::from([("slow".into(), config)]), &Egress::default(), || raincheck_core::Dice(0));
    let engine = engine(Registry::default().with(HttpRequest::new(upstreams.unwrap()))).await;
    (simulator, engine)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_called_as_it_was_asked() {
    let (simulator, engine) = place().await;
    let input =
        json!({"upstream": "slow", "method": "PUT", "path": "/a/b?c=1", "headers": {"x-mine": "1"}, "body": {"n": 1}});
    let job = end(&engine, submit(&engine, "http.request", input).await.unwrap()).await;
    let Some(Outcome::Completed(result)) = &job.outcome else { panic!("{:?}", job.outcome) };
    let result: Value = result.parse().unwrap();
    assert_eq!(result["status"], json!(200));
    let asked = simulator.requests(0).remove(0);
    assert_eq!((asked.method.as_str(), asked.path.contains("/a/b")), ("PUT", true), "{asked:?}");
    assert!(result["body"].is_object() && result["headers"]["content-type"].is_string(), "{result}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_was_reckoned_with_is_a_result_and_others_are_not() {
    let (simulator, engine) = place().await;
    let fault = Fault {
        kind: FaultKind::Status,
        status: Some(404),
        retry_after: RetryAfter::None,
        wait_ms: None,
        after_tokens: 0,
    };
    simulator.add_faults(vec![FaultRule::always(fault)]).unwrap();
    let run =
        async |input: Value| end(&engine, submit(&engine, "http.request", input).await.unwrap()).await.outcome.unwrap();
    let reckoned = run(json!({"upstream": "slow", "path": "/x", "expect": [200, 404]})).await;
    assert!(matches!(&reckoned, Outcome::Completed(result) if result.as_str().contains("404")), "{reckoned:?}");
    let other = run(json!({"upstream": "slow", "path": "/x"})).await;
    assert!(matches!(&other, Outcome::Failed(problem) if problem.is(ProblemType::UPSTREAM_REFUSED)), "{other:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leads_elsewhere_is_refused_before_a_job_exists() {
    let (_simulator, engine) = place().await;
    for (change, pointer) in [
        (json!({"path": "x"}), "/input/path"),
        (json!({"path": "//evil.example/x"}), "/input/path"),
        (json!({"path": "http://evil.example/"}), "/input/path"),
        (json!({"method": "CONNECT"}), "/input/method"),
        (json!({"headers": {"Host": "evil.example"}}), "/input/headers/Host"),
        (json!({"headers": {"authorization": "x"}}), "/input/headers/authorization"),
        (json!({"headers": {"a b": "x"}}), "/input/headers"),
        (json!({"headers": {"a": "x\r\ny: z"}}), "/input/headers"),
        (json!({"upstream": "nowhere"}), "/input/upstream"),
        (json!({"expect": [99]}), "/input/expect"),
        (json!({"url": "http://evil.example/"}), "/input/url"),
    ] {
        let mut input = json!({"upstream": "slow", "path": "/x"});
        input.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let problem = submit(&engine, "http.request", input.clone()).await.unwrap_err();
        assert_eq!(problem.pointer.as_deref(), Some(pointer), "{input}: {problem:?}");
    }
}
