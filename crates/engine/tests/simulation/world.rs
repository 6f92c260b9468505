use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use raincheck_core::{Event, JobId, Json, Webhook};
use raincheck_engine::{Engine, Submission, SubmitError, Submitted};
use raincheck_store::{Cancelled, Idempotency, Limits, MemoryStore, Store, StoreError};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use tokio::time::{sleep, timeout};

use super::check;
use super::node::{Bus, Fleet, Node};
use super::plan::{Plan, Planned, short_time};
use crate::support::TokioClock;

const NODES: usize = 3;
const CLIENTS: usize = 4;
const JOBS_PER_CLIENT: usize = 6;
/// For how long things go wrong.
const TROUBLE: Duration = Duration::from_secs(120);
/// How long after that everything accepted must have ended.
const RECOVERY: Duration = Duration::from_secs(3_600);

/// What a client saw of a job.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Every id that it was given for the same idempotency key.
    pub(crate) ids: Vec<JobId>,
    /// How many events the log had when a cancel was acknowledged.
    pub(crate) cancelled_at_seq: Option<u64>,
    /// The events that it followed, over all its connections.
    pub(crate) followed: Option<Vec<Event>>,
}

/// One simulated fleet with its clients and its troubles.
pub(crate) struct World {
    fleet: Fleet,
    nodes: Mutex<Vec<Node>>,
    work: Planned,
    fault_rate: f64,
}

impl World {
    /// Runs a seed; the hash of every log, and what was found wrong.
    pub(crate) async fn run(seed: u64) -> (u64, Vec<String>) {
        let mut random = StdRng::seed_from_u64(seed);
        let bus = Arc::new(Bus::default());
        let store = Arc::new(MemoryStore::new(Limits::default(), Arc::clone(&bus) as _));
        let fleet = Fleet { store, bus, clock: TokioClock::new(), told: Arc::default() };
        // A quarter of the fleets live in peace, so that what must never happen there is seen not to.
        let fault_rate = if seed.is_multiple_of(4) { 0.0 } else { random.random_range(0.0..0.2) };
        let world = Self { fleet, nodes: Mutex::default(), work: Planned::default(), fault_rate };
        for number in 0..NODES {
            world.start_node(&format!("w{number}"), random.next_u64()).await;
        }
        let seeds: Vec<u64> = (0..=CLIENTS).map(|_| random.next_u64()).collect();
        let clients = seeds[1..].iter().map(|seed| world.client(*seed));
        let (_, seen) = tokio::join!(world.trouble(seeds[0]), futures_join(clients));
        world.judge(seen.into_iter().flatten().collect()).await
    }

    async fn start_node(&self, name: &str, seed: u64) {
        let node = Node::start(name, seed, &self.fleet, self.fault_rate, self.work.clone()).await;
        self.nodes.lock().unwrap().push(node);
    }

    /// Kills, replaces and pauses workers for a while, and then lets everything heal.
    async fn trouble(&self, seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut left = TROUBLE;
        let mut born = NODES;
        while self.fault_rate > 0.0 && !left.is_zero() {
            let pause = short_time(&mut random, 20_000).min(left);
            left -= pause;
            sleep(pause).await;
            let victim = random.random_range(0..NODES);
            if random.random_bool(0.4) {
                self.nodes.lock().unwrap().remove(victim).link.kill();
                self.start_node(&format!("w{born}"), random.next_u64()).await;
                born += 1;
            } else {
                let time = short_time(&mut random, 40_000);
                self.nodes.lock().unwrap()[victim].link.pause(time);
            }
        }
        self.nodes.lock().unwrap().iter().for_each(|node| node.link.heal());
    }

    fn some_engine(&self, random: &mut StdRng) -> Engine {
        let nodes = self.nodes.lock().unwrap();
        nodes[random.random_range(0..nodes.len())].engine.clone()
    }

    /// Submits jobs, each until it has an answer, and does with them what clients do.
    async fn client(&self, seed: u64) -> Vec<Seen> {
        let mut random = StdRng::seed_from_u64(seed);
        let mut all = Vec::new();
        for _ in 0..JOBS_PER_CLIENT {
            sleep(short_time(&mut random, 15_000)).await;
            let mut seen = self.submit(&mut random).await;
            let id = seen.ids[0];
            match random.random_range(0..3) {
                0 => seen.cancelled_at_seq = self.cancel(id, &mut random).await,
                1 => seen.followed = Some(self.follow(id, &mut random).await),
                _ => {}
            }
            all.push(seen);
        }
        all
    }

    async fn submit(&self, random: &mut StdRng) -> Seen {
        let input = Json::from_value(&Plan::draw(random)).unwrap();
        let key = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
        let mut submission = Submission::new("planned".parse().unwrap(), input);
        submission.idempotency = Some(Idempotency { key, fingerprint: 1 });
        submission.webhook = Some(Webhook::new(format!("https://{}.example/", random.random_range(0..3))));
        submission.timeout = Some(Duration::from_secs(60));
        submission.max_attempts = Some(3);
        submission.run_at = random.random_bool(0.2).then(|| self.fleet.clock.now().after(short_time(random, 30_000)));
        submission.deadline = random.random_bool(0.2).then(|| self.fleet.clock.now().after(Duration::from_secs(90)));
        let mut seen = Seen::default();
        let mut wanted = random.random_range(1..3);
        while wanted > 0 {
            let engine = self.some_engine(random);
            match timeout(Duration::from_secs(5), engine.submit(vec![submission.clone()])).await {
                Ok(Ok(mut answers)) => {
                    let answer: Result<Submitted, SubmitError> = answers.remove(0);
                    seen.ids.push(answer.unwrap().job().id);
                    wanted -= 1;
                }
                // No answer, or an unknown outcome: ask again under the same key.
                Ok(Err((_, SubmitError::Store(_)))) | Err(_) => sleep(short_time(random, 2_000)).await,
                // Asked too often: the deadline has passed meanwhile.
                Ok(Err(_)) => (submission.deadline, submission.run_at) = (None, None),
            }
        }
        seen
    }

    /// Cancels until that is acknowledged; gives how long the log was then, unless the job had ended.
    async fn cancel(&self, id: JobId, random: &mut StdRng) -> Option<u64> {
        sleep(short_time(random, 30_000)).await;
        loop {
            let engine = self.some_engine(random);
            match timeout(Duration::from_secs(5), engine.cancel(id, None, None)).await {
                Ok(Ok(Cancelled::Done(life))) => return Some(life.last_seq),
                Ok(Ok(Cancelled::Finished(_) | Cancelled::Unknown)) => return None,
                _ => sleep(short_time(random, 2_000)).await,
            }
        }
    }

    /// Follows a job to its end, over as many connections as it takes.
    async fn follow(&self, id: JobId, random: &mut StdRng) -> Vec<Event> {
        let mut events = Vec::<Event>::new();
        loop {
            let after = events.last().map_or(0, |event| event.seq);
            let engine = self.some_engine(random);
            let patience = short_time(random, 30_000);
            let connection = async {
                let Some(mut reader) = engine.follow(id, None, after).await? else { return Ok(true) };
                loop {
                    let news = reader.next().await?;
                    if news.is_empty() {
                        return Ok(true);
                    }
                    events.extend(news);
                }
            };
            let connected: Result<Result<bool, StoreError>, _> = timeout(patience, connection).await;
            if let Ok(Ok(true)) = connected {
                return events;
            }
        }
    }

    async fn judge(&self, seen: Vec<Seen>) -> (u64, Vec<String>) {
        let mut faults = Vec::new();
        let mut trace = DefaultHasher::new();
        let ids: Vec<JobId> = seen.iter().map(|seen| seen.ids[0]).collect();
        for seen in seen {
            let id = seen.ids[0];
            let ended = self.end(id).await;
            let page = self.fleet.store.read_log(id, None, 0, usize::MAX).await.unwrap();
            let log = page.map(|page| page.events).unwrap_or_default();
            serde_json::to_string(&log).unwrap().hash(&mut trace);
            let found = if ended {
                check::job(&seen, &log, self.fault_rate == 0.0)
            } else {
                vec![format!("it never ended; the log: {}", check::types(&log))]
            };
            faults.extend(found.into_iter().map(|fault| format!("{id}: {fault}")));
        }
        for id in ids {
            if !self.told(id).await {
                faults.push(format!("{id}: its webhook was never told of its end"));
            }
        }
        (trace.finish(), faults)
    }

    async fn told(&self, id: JobId) -> bool {
        let told = async {
            while !self.fleet.told.lock().unwrap().contains(&id) {
                // All jobs have ended, so that nobody needs the time that is skipped.
                tokio::time::advance(Duration::from_secs(30)).await;
                sleep(Duration::from_secs(1)).await;
            }
        };
        timeout(RECOVERY, told).await.is_ok()
    }

    async fn end(&self, id: JobId) -> bool {
        let ended = async {
            while !self.fleet.store.get(id, None).await.unwrap().is_some_and(|job| job.life.state.is_final()) {
                sleep(Duration::from_secs(1)).await;
            }
        };
        timeout(RECOVERY, ended).await.is_ok()
    }
}

/// Runs futures side by side, in order, on this task.
async fn futures_join<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in futures.iter_mut().filter(|(_, output)| output.is_none()) {
            if let std::task::Poll::Ready(ready) = future.as_mut().poll(context) {
                *output = Some(ready);
            }
        }
        if futures.iter().all(|(_, output)| output.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}
