use std::io::Write;
use std::time::Duration;

use tokio::time::Instant;

use crate::console::Console;

/// Nobody is told of waits shorter than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits for `future`, and says on standard error what is being waited for once it takes longer than two seconds.
pub(crate) async fn told<T>(console: Console, what: &str, future: impl Future<Output = T>) -> T {
    let begin = Instant::now();
    let mut future = std::pin::pin!(future);
    let mut next = PATIENCE;
    let mut said = false;
    loop {
        tokio::select! {
            biased;
            value = &mut future => {
                if said && console.live {
                    redraw("");
                }
                return value;
            }
            () = tokio::time::sleep_until(begin + next) => {
                let line = format!("{what} ({} s)", next.as_secs());
                if console.live {
                    redraw(&console.err.dim(&line));
                } else {
                    console.say(&line);
                }
                said = true;
                next = following(next, console.live);
            }
        }
    }
}

/// Every second where the line is redrawn; elsewhere ever more rarely, for each is a line in somebody's log.
fn following(after: Duration, live: bool) -> Duration {
    if live { after + Duration::from_secs(1) } else { after * 2 }
}

fn redraw(line: &str) {
    let mut err = std::io::stderr().lock();
    // Who closed standard error does not want to hear it.
    let _ = write!(err, "\r\x1b[2K{line}").and_then(|()| err.flush());
}
