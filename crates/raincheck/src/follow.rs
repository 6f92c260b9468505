//! `raincheck follow`: a job's events as they happen, to its end, over every interruption.

mod screen;

use std::time::Duration;

use tokio::time::Instant;

use crate::client::{Client, Events, Lost, waiting};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use screen::Screen;

/// The first wait before connecting again, which doubles up to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

/// Follows a job to its end.
///
/// Ends with 0 if it completed, 1 if it failed, 6 if it was cancelled and 7 if its deadline passed. Ctrl-C leaves the
/// job running. Where the output is no terminal, each event is a line of JSON.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The job
    id: String,
    /// Show only what happens after the event of this number
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: u64,
}

/// Follows a job.
///
/// # Errors
/// If there is no such job, or the server cannot be reached for as long as it may be silent.
pub(crate) async fn run(args: &Args, client: &Client, console: Console) -> Result<Exit, Failure> {
    to_the_end(client, &args.id, args.after, console).await
}

/// Shows a job's events after number `after` until its last.
///
/// # Errors
/// See [`run`].
pub(crate) async fn to_the_end(client: &Client, job: &str, after: u64, console: Console) -> Result<Exit, Failure> {
    let mut screen = Screen::new(console);
    let ended = tokio::select! {
        ended = follow(client, job, after, &mut screen) => ended,
        _ = tokio::signal::ctrl_c() => {
            screen.leave();
            let message = format!("\nThe job goes on. Come back to it with:\n    {}", come_back(job, client));
            console.say(&message);
            return Ok(Exit::Interrupted);
        }
    };
    if ended.is_err() {
        screen.leave();
    }
    ended
}

/// The command to follow a job again.
pub(crate) fn come_back(job: &str, client: &Client) -> String {
    format!("raincheck follow {job}{}", client.server_flag())
}

async fn follow(client: &Client, job: &str, after: u64, screen: &mut Screen) -> Result<Exit, Failure> {
    let mut seen = after;
    let mut events = connect(client, job, seen, screen).await.map_err(|lost| match lost {
        Lost::ForNow(failure) | Lost::ForGood(failure) => failure,
    })?;
    loop {
        match events.next().await {
            Ok(event) if event.seq <= seen => {}
            Ok(event) => {
                seen = event.seq;
                if let Some(exit) = screen.show(&event)? {
                    return Ok(exit);
                }
            }
            Err(Lost::ForGood(failure)) => return Err(failure),
            Err(Lost::ForNow(failure)) => events = again(client, job, seen, failure, screen).await?,
        }
    }
}

/// Connects for the first time; the bar, or a line now and then, says so.
async fn connect(client: &Client, job: &str, seen: u64, screen: &Screen) -> Result<Events, Lost> {
    let what = format!("waiting for {}", client.server());
    let events = client.events(job, seen);
    if screen.is_live(&what) { events.await } else { waiting::told(screen.console(), &what, events).await }
}

/// Connects again, for as long as the server may be silent.
async fn again(client: &Client, job: &str, seen: u64, reason: Failure, screen: &mut Screen) -> Result<Events, Failure> {
    let (mut wait, longest) = BACKOFF;
    let give_up = Instant::now() + client.read_timeout;
    let mut reason = reason;
    loop {
        screen.lost(&reason.message, wait);
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(longest);
        match client.events(job, seen).await {
            Ok(events) => {
                screen.found();
                return Ok(events);
            }
            Err(Lost::ForGood(failure)) => return Err(failure),
            Err(Lost::ForNow(failure)) if Instant::now() > give_up => {
                let hint = format!("the job goes on without us; come back with `{}`", come_back(job, client));
                return Err(failure.hint(hint));
            }
            Err(Lost::ForNow(failure)) => reason = failure,
        }
    }
}
