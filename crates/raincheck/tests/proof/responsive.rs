//! Promise (A2): while a thousand jobs are submitted, started and run, the rest of the API stays fast, all of them end,
//! and memory stays bounded.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::job;
use super::server::{Launch, Server};
use super::trial::{allowed, now, percentile, rounds};
use crate::support::Place;

const JOBS: usize = 1_000;
const SCANS: usize = 8;
const SUBMITTERS: usize = 16;

/// A few minutes of quiet sound, as 16-bit WAV files.
fn sounds(directory: &Path) {
    fs::create_dir_all(directory).expect("make a directory");
    for number in 0..40 {
        let samples: Vec<u8> = (0..24_000_i32 * 3)
            .flat_map(|n| i16::try_from(n * (number + 3) % 2_000 - 1_000).expect("in range").to_le_bytes())
            .collect();
        let size = u32::try_from(samples.len()).expect("small");
        let mut wav = Vec::new();
        wav.extend_from_slice(b"RIFF");
        wav.extend_from_slice(&(size + 36).to_le_bytes());
        wav.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
        wav.extend_from_slice(&24_000_u32.to_le_bytes());
        wav.extend_from_slice(&48_000_u32.to_le_bytes());
        wav.extend_from_slice(b"\x02\0\x10\0data");
        wav.extend_from_slice(&size.to_le_bytes());
        wav.extend_from_slice(&samples);
        fs::write(directory.join(format!("{number}.wav")), wav).expect("write a sound");
    }
}

/// How long answers took, sorted.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn p(&self, percent: usize) -> Duration {
        percentile(&self.0, percent)
    }
}

/// Asks both servers again and again for something small until told to stop: the one that has much to do, and at the same
/// moments one that has nothing to do.
fn probe(server: &Server, job: &str, idle: &Server, stop: &AtomicBool) -> [Times; 2] {
    let paths = ["/healthz".to_owned(), format!("/v1/jobs/{job}")];
    let mut asked = [(server.http(), &paths[..]), (idle.http(), &paths[..1])];
    let mut times = [Times::default(), Times::default()];
    while !stop.load(Ordering::SeqCst) {
        for ((http, paths), times) in asked.iter_mut().zip(&mut times) {
            for path in *paths {
                let start = now();
                let answer = http.get(path).expect("an answer");
                times.0.push(start.elapsed());
                assert_eq!(answer.status, 200, "{answer}");
            }
        }
        thread::sleep(Duration::from_millis(2));
    }
    times.iter_mut().for_each(|times| times.0.sort());
    times
}

fn submit_all(server: &Server, library: &str) -> Vec<String> {
    let submit = |submitter: usize| {
        let mut http = server.http();
        let numbers = (0..JOBS).filter(|number| number % SUBMITTERS == submitter);
        let accept = |number: usize| {
            let body = if number < SCANS {
                format!(r#"{{"kind": "audio.scan", "input": {{"path": "{library}", "tier": "full"}}}}"#)
            } else {
                r#"{"kind": "sleep", "input": {"seconds": 1.5}}"#.to_owned()
            };
            let answer = http.submit("", &body).expect("an answer");
            assert_eq!(answer.status, 202, "{answer}");
            answer.id()
        };
        numbers.map(accept).collect::<Vec<String>>()
    };
    thread::scope(|scope| {
        let submitters: Vec<_> = (0..SUBMITTERS).map(|n| scope.spawn(move || submit(n))).collect();
        submitters.into_iter().flat_map(|submitter| submitter.join().expect("a submitter")).collect()
    })
}

#[test]
fn a_thousand_jobs_at_once_leave_the_rest_of_the_api_fast() {
    let (place, elsewhere) = (Place::new(), Place::new());
    let library = place.path().join("library");
    sounds(&library);
    let library = library.canonicalize().expect("a path").to_str().expect("plain").to_owned();
    let server = Launch::at(&place).with("AUDIO_ROOTS", &library).start();
    let idle = Launch::at(&elsewhere).start();
    let first = server.http().submit("", r#"{"kind": "echo"}"#).expect("an answer").id();
    let memory_idle = server.memory_kib();

    for _ in 0..rounds(1) {
        let stop = AtomicBool::new(false);
        let start = now();
        let (ids, [busy, beside], took) = thread::scope(|scope| {
            let probe = scope.spawn(|| probe(&server, &first, &idle, &stop));
            let ids = submit_all(&server, &library);
            let submitted = start.elapsed();
            let mut http = server.http();
            for id in &ids {
                let job = job::ended(&mut http, id);
                assert_eq!(job["state"], "completed", "{job}");
            }
            println!("{} jobs submitted in {submitted:?}, all ended after {:?}", ids.len(), start.elapsed());
            stop.store(true, Ordering::SeqCst);
            (ids, probe.join().expect("the probe"), start.elapsed())
        });
        let memory = server.memory_kib();
        println!(
            "GET p50/p99: {:?}/{:?} ({} requests), {:?}/{:?} of an idle server meanwhile; memory {} MiB idle, {} MiB after; \
             {took:?}",
            busy.p(50),
            busy.p(99),
            busy.0.len(),
            beside.p(50),
            beside.p(99),
            memory_idle >> 10,
            memory >> 10,
        );
        assert_eq!(ids.len(), JOBS);
        let limit = allowed(Duration::from_millis(100), beside.p(99));
        assert!(busy.p(99) < limit, "p99 {:?}, and no more than {limit:?} is allowed", busy.p(99));
        assert!(memory < memory_idle + (256 << 10), "memory grew from {memory_idle} to {memory} KiB");
    }
}
