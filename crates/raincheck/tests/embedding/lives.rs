//! Across the lives of a program: what was accepted is done, and what was recorded is not done again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use raincheck::{Builder, Context, JobError, JobId, Progress, StartError, wiring::KeepError};
use tokio::sync::Notify;

use super::program;
use crate::support::Place;

/// What a life of the program knows of its handler.
#[derive(Default)]
struct Life {
    /// How often the first step was done.
    first: AtomicU32,
    /// The first step is recorded.
    recorded: Notify,
    /// The second may be done.
    go_on: Notify,
}

/// A program whose jobs have two steps.
fn two_steps(place: &Place, life: &Arc<Life>) -> Builder {
    let life = Arc::clone(life);
    program(place).drain_grace(Duration::ZERO).handler("two.steps", move |context: Context, (): ()| {
        let life = Arc::clone(&life);
        async move {
            let first = context.step("first", async { Ok(life.first.fetch_add(1, Ordering::SeqCst) + 1) }).await?;
            context.progress(Progress::counted(1, 2, "the first is recorded"));
            life.recorded.notify_one();
            tokio::select! {
                () = life.go_on.notified() => {}
                _ = context.cancelled() => return Err(raincheck::Failure::cancelled()),
            }
            let second: u32 = context.step("second", async { Ok(2) }).await?;
            Ok((first, second))
        }
    })
}

/// The next life, in which the job ends: whether the first step was done in it.
async fn next_life(place: &Place, id: JobId) -> u32 {
    let life = Arc::new(Life::default());
    life.go_on.notify_one();
    let raincheck = two_steps(place, &life).start().await.expect("it starts anew");
    assert_eq!(raincheck.job(id).result::<(u32, u32)>().await.expect("a result"), (1, 2));
    let job = raincheck.job(id).get().await.expect("it can be read").expect("it is there");
    assert_eq!((job.life.attempt, job.life.failures), (2, 0), "an end of the program is no failure of the job");
    raincheck.shutdown().await.expect("it stops in order");
    life.first.load(Ordering::SeqCst)
}

#[test]
fn a_life_that_broke_off_is_gone_on_with_behind_the_last_step() {
    let place = Place::new();
    let runtime = || tokio::runtime::Runtime::new().expect("a runtime");
    let (life, first) = (Arc::new(Life::default()), runtime());
    let id = first.block_on(async {
        let raincheck = two_steps(&place, &life).start().await.expect("it starts");
        let job = raincheck.submit("two.steps", &()).send().await.expect("it is accepted");
        life.recorded.notified().await;
        job.id()
    });
    // All that ran is dropped where it stands.
    drop(first);
    assert_eq!(life.first.load(Ordering::SeqCst), 1);
    assert_eq!(runtime().block_on(next_life(&place, id)), 0, "a recorded step is not done again");
}

#[tokio::test]
async fn a_life_that_ends_in_order_hands_back_what_runs() {
    let (place, life) = (Place::new(), Arc::new(Life::default()));
    let raincheck = two_steps(&place, &life).start().await.expect("it starts");
    let job = raincheck.submit("two.steps", &()).send().await.expect("it is accepted");
    life.recorded.notified().await;
    let (result, stopped, again) = tokio::join!(job.result::<(u32, u32)>(), raincheck.shutdown(), raincheck.shutdown());
    stopped.expect("it stops in order");
    again.expect("both calls end");
    assert!(matches!(result, Err(JobError::Stopped(id)) if id == job.id()), "{result:?}");
    let refused = raincheck.submit("two.steps", &()).send().await;
    assert!(refused.is_err(), "nothing is accepted that would not be done");
    let id = job.id();
    drop((job, raincheck));
    assert_eq!(next_life(&place, id).await, 0, "a recorded step is not done again");
}

#[tokio::test]
async fn a_data_directory_has_one_program_at_a_time() {
    let place = Place::new();
    let raincheck = program(&place).start().await.expect("it starts");
    let second = program(&place).start().await.err();
    assert!(matches!(second, Some(StartError::Keep(KeepError::Open(_)))), "{second:?}");
    raincheck.shutdown().await.expect("it stops in order");
}
