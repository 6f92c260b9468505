//! Promise (A2): while a thousand jobs are submitted, started and run, the rest of the API stays fast, all of them end,
//! and memory stays bounded.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::job;
use super::server::{Launch, Server};
use super::trial::{now, percentile, rounds};
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

/// Asks again and again for something small until told to stop; gives how long each answer took, sorted.
fn probe(server: &Server, job: &str, stop: &AtomicBool) -> Vec<Duration> {
    let mut http = server.http();
    let mut times = Vec::new();
    let paths = ["/healthz".to_owned(), format!("/v1/jobs/{job}")];
    while !stop.load(Ordering::SeqCst) {
        for path in &paths {
            let start = now();
            let answer = http.get(path).expect("an answer");
            times.push(start.elapsed());
            assert_eq!(answer.status, 200, "{answer}");
        }
        thread::sleep(Duration::from_millis(2));
    }
    times.sort();
    times
}

fn probe_for(server: &Server, job: &str, time: Duration) -> Vec<Duration> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let probe = scope.spawn(|| probe(server, job, &stop));
        thread::sleep(time);
        stop.store(true, Ordering::SeqCst);
        probe.join().expect("the probe")
    })
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
    let place = Place::new();
    let library = place.path().join("library");
    sounds(&library);
    let library = library.canonicalize().expect("a path").to_str().expect("plain").to_owned();
    let server = Launch::at(&place).with("AUDIO_ROOTS", &library).start();
    let first = server.http().submit("", r#"{"kind": "echo"}"#).expect("an answer").id();
    let idle = probe_for(&server, &first, Duration::from_secs(1));
    let memory_idle = server.memory_kib();

    for _ in 0..rounds(1) {
        let stop = AtomicBool::new(false);
        let start = now();
        let (ids, busy, took) = thread::scope(|scope| {
            let probe = scope.spawn(|| probe(&server, &first, &stop));
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
            "GET p50/p99: {:?}/{:?} idle, {:?}/{:?} meanwhile ({} requests); memory {} MiB idle, {} MiB after; {took:?}",
            percentile(&idle, 50),
            percentile(&idle, 99),
            percentile(&busy, 50),
            percentile(&busy, 99),
            busy.len(),
            memory_idle >> 10,
            memory >> 10,
        );
        assert_eq!(ids.len(), JOBS);
        assert!(percentile(&busy, 99) < Duration::from_millis(100), "p99 meanwhile {:?}", percentile(&busy, 99));
        assert!(memory < memory_idle + (256 << 10), "memory grew from {memory_idle} to {memory} KiB");
    }
}
