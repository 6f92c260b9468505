use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use raincheck_core::{Job, JobId, Json, Progress, Time, Webhook, WebhookEvent};
use raincheck_engine::{
    Chance, Clock, Context, Engine, Failure, Hub, Notifier, Registry, SECRET_OVERLAP, Settings, Submission, Undelivered,
};
use raincheck_store::{Delivery, DeliveryState, WebhookSecrets};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::support::{Fixture, TokioClock, Work, engine};

/// Long enough for whoever is at work.
const SHORT: Duration = Duration::from_secs(1);

type Answer = Result<String, Undelivered>;

/// Notes what it is to deliver, and says what the endpoint of that name answers.
struct Note {
    told: Mutex<Vec<(Duration, String, JobId, WebhookEvent)>>,
    answer: Box<dyn Fn(&str) -> Answer + Send + Sync>,
    /// How long the endpoint named takes to answer.
    slow: BTreeMap<&'static str, Duration>,
    began: Instant,
}

impl Note {
    fn new(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self { told: Mutex::default(), answer: Box::new(answer), slow: BTreeMap::new(), began: Instant::now() }
    }

    fn told(&self) -> Vec<(Duration, String, JobId, WebhookEvent)> {
        self.told.lock().unwrap().clone()
    }

    /// When each was told, in seconds.
    fn times(&self) -> Vec<u64> {
        self.told().iter().map(|(at, ..)| at.as_secs()).collect()
    }

    async fn heard(&self, count: usize) {
        while self.told().len() < count {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

#[async_trait]
impl Notifier for Note {
    async fn deliver(&self, job: &Job, (event, _): (WebhookEvent, u64), _: &WebhookSecrets) -> Answer {
        let endpoint = job.spec.webhook.as_ref().unwrap().endpoint(&job.spec.tenant);
        let endpoint = endpoint.split_once(' ').unwrap().1.to_owned();
        self.told.lock().unwrap().push((self.began.elapsed(), endpoint.clone(), job.id, event));
        if let Some(slow) = self.slow.get(&*endpoint) {
            sleep(*slow).await;
        }
        (self.answer)(&endpoint)
    }
}

fn taken(_: &str) -> Answer {
    Ok("204".to_owned())
}

fn refused(retry_after: Option<Duration>, is_final: bool) -> Answer {
    Err(Undelivered { answer: "it does not want it".to_owned(), retry_after, is_final })
}

async fn fixture(notifier: Note) -> (Fixture, Arc<Note>) {
    let fixture = engine(Work(|_, _| async { Ok(Json::null()) })).await;
    let notifier = Arc::new(notifier);
    fixture.engine.deliver_by(Arc::clone(&notifier) as _);
    (fixture, notifier)
}

async fn submit(fixture: &Fixture, url: &str) -> JobId {
    let webhook = Some(Webhook::new(url.to_owned()));
    fixture.submit(|submission| submission.webhook = webhook).await
}

/// The delivery once it is settled, with the time until each try skipped.
async fn settled(fixture: &Fixture, job: JobId) -> Delivery {
    loop {
        let delivery = fixture.store.delivery(job, None).await.unwrap();
        match delivery {
            Some(Delivery { state: DeliveryState::Pending(due), .. }) => {
                tokio::time::advance(due.since(fixture.engine.clock().now()).saturating_sub(SHORT)).await;
            }
            Some(delivery) => return delivery,
            None => {}
        }
        sleep(SHORT).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_is_told_at_once_and_once() {
    let (fixture, notifier) = fixture(Note::new(taken)).await;
    let job = submit(&fixture, "https://a.example/").await;
    fixture.submit(|_| ()).await;
    let delivery = settled(&fixture, job).await;
    assert_eq!((delivery.tries, delivery.state), (1, DeliveryState::Delivered));
    assert_eq!(delivery.last.unwrap().1, "204");
    sleep(Duration::from_secs(300)).await;
    let told = notifier.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].0.as_secs(), told[0].2, told[0].3), (0, job, WebhookEvent::Ended));
    assert_eq!(fixture.engine.stats().deliveries.delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_taken_is_told_ten_times_within_three_days_and_then_given_up() {
    let (fixture, notifier) = fixture(Note::new(|_| refused(None, false))).await;
    let job = submit(&fixture, "https://a.example/").await;
    let delivery = settled(&fixture, job).await;
    assert_eq!((delivery.tries, delivery.state), (10, DeliveryState::GivenUp));
    let times = notifier.times();
    let due = [0, 5, 305, 2_105, 9_305, 27_305, 63_305, 113_705, 185_705, 272_105];
    for (time, due) in times.iter().zip(due) {
        assert!((due..=due + due / 10 + 60).contains(time), "{times:?}");
    }
    let stats = fixture.engine.stats().deliveries;
    assert_eq!((stats.delivered, stats.failed, stats.given_up), (0, 9, 1));
    assert!(fixture.engine.deliver_again(job, None).await.unwrap());
    notifier.heard(11).await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_says_when_to_come_back_or_never() {
    let answer = |endpoint: &str| match endpoint {
        "later" => refused(Some(Duration::from_secs(50)), false),
        _ => refused(None, true),
    };
    let (fixture, notifier) = fixture(Note::new(answer)).await;
    let later = submit(&fixture, "https://later/").await;
    let never = submit(&fixture, "https://never/").await;
    let given_up = settled(&fixture, never).await;
    assert_eq!((given_up.tries, given_up.state), (1, DeliveryState::GivenUp));
    notifier.heard(3).await;
    let times: Vec<u64> = notifier.told().iter().filter(|told| told.2 == later).map(|told| told.0.as_secs()).collect();
    assert!((50..=56).contains(&times[1]), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_endpoint_holds_up_no_other_and_is_called_ten_times_at_once() {
    let mut slow = Note::new(taken);
    slow.slow.insert("slow", Duration::from_secs(15));
    let (fixture, notifier) = fixture(slow).await;
    for _ in 0..100 {
        submit(&fixture, "https://slow/").await;
    }
    let quick = submit(&fixture, "https://quick/").await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(settled(&fixture, quick).await.state, DeliveryState::Delivered);
    let to_slow = |notifier: &Note| notifier.told().iter().filter(|told| told.1 == "slow").count();
    assert_eq!(to_slow(&notifier), 10);
    sleep(Duration::from_secs(14)).await;
    assert_eq!(to_slow(&notifier), 20);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_fails_is_told_one_thing_at_a_time() {
    let mut dead = Note::new(|_| refused(None, false));
    dead.slow.insert("dead", Duration::from_secs(15));
    let (fixture, notifier) = fixture(dead).await;
    for _ in 0..100 {
        submit(&fixture, "https://dead/").await;
    }
    sleep(Duration::from_secs(20)).await;
    assert_eq!(notifier.told().len(), 11, "ten, and then one");
    sleep(Duration::from_secs(30)).await;
    assert_eq!(notifier.told().len(), 13);
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_when_the_engine_drains_is_waited_for() {
    let mut slow = Note::new(taken);
    slow.slow.insert("slow", Duration::from_secs(3));
    let (fixture, notifier) = fixture(slow).await;
    submit(&fixture, "https://slow/").await;
    notifier.heard(1).await;
    fixture.engine.drain(Duration::from_secs(1)).await.unwrap();
    assert_eq!(notifier.began.elapsed().as_secs(), 3);
    assert_eq!(fixture.engine.stats().deliveries.delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_when_the_server_died_is_told_by_the_next() {
    let mut stuck = Note::new(taken);
    stuck.slow.insert("a.example", Duration::from_secs(3_600));
    let (fixture, first) = fixture(stuck).await;
    let job = submit(&fixture, "https://a.example/").await;
    first.heard(1).await;
    // Another engine on the same store; the first never gets to note what became of it.
    let (hub, clock): (_, Arc<dyn Clock>) = (Hub::new(), TokioClock::new());
    let (store, registry) = (Arc::clone(&fixture.store), Registry::default());
    let next = Engine::start(store, hub, registry, Settings::default(), clock, Chance::seeded(2)).await.unwrap();
    let second = Arc::new(Note::new(taken));
    next.deliver_by(Arc::clone(&second) as _);
    second.heard(1).await;
    assert_eq!((second.times(), second.told()[0].2), (vec![0], job));
}

#[tokio::test(start_paused = true)]
async fn a_notifier_that_panics_holds_up_nothing() {
    let answer = |endpoint: &str| match endpoint {
        "bad" => panic!("the notifier is broken"),
        _ => taken(endpoint),
    };
    let (fixture, notifier) = fixture(Note::new(answer)).await;
    for _ in 0..20 {
        submit(&fixture, "https://bad/").await;
    }
    let good = submit(&fixture, "https://good/").await;
    assert_eq!(settled(&fixture, good).await.state, DeliveryState::Delivered);
    notifier.heard(41).await;
}

#[tokio::test(start_paused = true)]
async fn what_happens_before_the_end_is_told_to_those_who_want_it_and_not_too_often() {
    let work = Work(|context: Context, _| async move {
        for number in 0..40_u32 {
            context.progress(Progress::percent(f64::from(number), "on it"));
            context.emit(json!(number).into()).await?;
            sleep(Duration::from_millis(100)).await;
        }
        Ok::<_, Failure>(Json::null())
    });
    let fixture = engine(work).await;
    let notifier = Arc::new(Note::new(taken));
    fixture.engine.deliver_by(Arc::clone(&notifier) as _);
    let wants = |events: &[WebhookEvent]| {
        let webhook = Webhook { events: events.iter().copied().collect(), ..Webhook::new("https://a.example/".into()) };
        move |submission: &mut Submission| submission.webhook = Some(webhook)
    };
    let all = fixture.submit(wants(&[WebhookEvent::Started, WebhookEvent::Output, WebhookEvent::Ended])).await;
    let start = fixture.submit(wants(&[WebhookEvent::Started])).await;
    let end = fixture.submit(wants(&[WebhookEvent::Ended])).await;
    settled(&fixture, end).await;
    settled(&fixture, all).await;
    let told = notifier.told();
    let of = |job: JobId| told.iter().filter(|told| told.2 == job).map(|told| told.3).collect::<Vec<_>>();
    assert_eq!((of(start), of(end)), (vec![WebhookEvent::Started], vec![WebhookEvent::Ended]));
    let of_all = of(all);
    assert_eq!((of_all.first(), of_all.last()), (Some(&WebhookEvent::Started), Some(&WebhookEvent::Ended)));
    let outputs = of_all.iter().filter(|event| **event == WebhookEvent::Output).count();
    assert!((6..=8).contains(&outputs), "four seconds of output, told every half second: {outputs}");
}

#[tokio::test(start_paused = true)]
async fn a_replaced_secret_signs_for_another_day() {
    let (fixture, _) = fixture(Note::new(taken)).await;
    let tenant = "default".parse().unwrap();
    let first = fixture.engine.webhook_secrets(&tenant).await.unwrap();
    assert_eq!(fixture.engine.webhook_secrets(&tenant).await.unwrap(), first);
    let now: Time = fixture.engine.clock().now();
    let second = fixture.engine.rotate_webhook_secret(&tenant).await.unwrap();
    assert_eq!(second.previous, Some((first.current, now.after(SECRET_OVERLAP))));
    assert_ne!(second.current, first.current);
}
