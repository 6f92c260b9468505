use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::{Event, Json};
use raincheck_engine::{About, Context, Failure, Handler};
use serde_json::json;
use tokio::time::sleep;

use crate::support::{engine, test_about};

/// Says so many things.
struct Talkative(u32);

#[async_trait]
impl Handler for Talkative {
    fn about(&self) -> About {
        test_about()
    }

    async fn run(&self, context: Context, _input: Json) -> Result<Json, Failure> {
        for number in 0..self.0 {
            context.emit(json!(number).into()).await?;
            sleep(Duration::from_millis(u64::from(number % 7))).await;
        }
        Ok(Json::null())
    }
}

#[tokio::test(start_paused = true)]
async fn every_follower_gets_every_event_once_and_in_order_whenever_it_comes() {
    let fixture = engine(Talkative(500)).await;
    let job = fixture.submit(|_| ()).await;
    let follow = async |start: Duration, drop_every: usize| {
        sleep(start).await;
        let mut seen = Vec::<Event>::new();
        loop {
            let after = seen.last().map_or(0, |event| event.seq);
            let mut reader = fixture.engine.follow(job, None, after).await.unwrap().unwrap();
            for _ in 0..drop_every {
                let events = reader.next().await.unwrap();
                if events.is_empty() {
                    return seen;
                }
                seen.extend(events);
            }
        }
    };
    let (a, b, c, d) = tokio::join!(
        follow(Duration::ZERO, usize::MAX),
        follow(Duration::from_millis(300), 1),
        follow(Duration::from_millis(700), 5),
        follow(Duration::from_secs(100), usize::MAX),
    );
    let log = fixture.log(job).await;
    assert_eq!(log.len(), 503);
    for seen in [a, b, c, d] {
        assert_eq!(seen, log);
    }
    assert_eq!(fixture.engine.stats().followed, 0, "nothing is kept for followers that left");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_job_ends_with_it_or_with_the_limit() {
    let fixture = engine(Talkative(100)).await;
    let job = fixture.submit(|_| ()).await;
    let early = fixture.engine.wait(job, None, Duration::from_millis(1)).await.unwrap().unwrap();
    assert!(!early.life.state.is_final());
    assert!(fixture.end(job).await.life.state.is_final());
    let other = "someone-else".parse().unwrap();
    assert_eq!(fixture.engine.wait(job, Some(&other), Duration::ZERO).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_follower_of_a_job_that_is_deleted_comes_to_an_end() {
    let fixture = engine(Talkative(1)).await;
    let job = fixture.submit(|_| ()).await;
    fixture.end(job).await;
    let mut reader = fixture.engine.follow(job, None, 1).await.unwrap().unwrap();
    fixture.store.delete(job, None).await.unwrap().unwrap().unwrap();
    assert_eq!(reader.next().await.unwrap(), []);
}
