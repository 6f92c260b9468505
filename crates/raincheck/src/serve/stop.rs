use std::time::Duration;

use raincheck_engine::Engine;
use tokio_util::sync::CancellationToken;

use crate::console::Console;
use crate::exit::{Exit, Failure};
use raincheck_recipes::duration;

/// How often it is told how many jobs are still waited for.
const TELL: Duration = Duration::from_secs(2);

/// Lets running jobs end within `grace` while requests are still answered, hands back those that do not, then ends the
/// HTTP side.
///
/// # Errors
/// If the store could not be closed.
pub(crate) async fn in_order(
    engine: &Engine,
    closing: &CancellationToken,
    grace: Duration,
    console: Console,
) -> Result<(), Failure> {
    let running = engine.stats().running;
    if running > 0 {
        let again = if console.live { " (Ctrl-C again stops at once)" } else { "" };
        tracing::info!(running, grace = duration::show(grace), "waiting for running jobs to end{again}");
    }
    let drained = {
        let drain = engine.drain(grace);
        tokio::pin!(drain);
        loop {
            tokio::select! {
                drained = &mut drain => break drained,
                () = tokio::time::sleep(TELL) => {
                    tracing::info!(running = engine.stats().running, "still waiting for running jobs to end");
                }
            }
        }
    };
    closing.cancel();
    drained.map_err(|error| Failure::new(Exit::StoreFailed, format!("the store did not close cleanly: {error}")))?;
    tracing::info!("stopped");
    Ok(())
}

/// Stops without waiting for anything: what is durable stays so.
pub(crate) fn at_once(signal: &str) -> Failure {
    let message =
        format!("stopped at once by a second signal ({signal}); jobs that were running start again next time");
    Failure::new(Exit::Interrupted, message)
}

/// Stops because it cannot be known what is stored.
pub(crate) fn store_failed(reason: &str) -> Failure {
    let message = format!(
        "a write to the data directory failed, and whether it is stored is unknown: {reason}\nThe server stops rather than \
         guess; requests that were under way were answered as unknown."
    );
    Failure::new(Exit::StoreFailed, message)
        .hint("look after the disk, then start the server again: it finds out what is stored, and goes on from there")
}
