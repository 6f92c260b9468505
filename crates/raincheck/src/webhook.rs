//! `raincheck webhook`: how far a job's webhook is, and what webhooks are signed with.

use clap::Subcommand;
use raincheck_core::Time;
use raincheck_engine::{Clock, SystemClock};
use serde::Deserialize;

use crate::client::{Ask, Client, encoded};
use crate::console::{Console, Paint, harmless};
use crate::exit::{Exit, Failure};
use crate::show::{moment, relative, table};

/// Shows whether a job's webhook was told, tells it again, and shows what webhooks are signed with.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows how far the webhook of a job is
    Show {
        /// The job
        id: String,
    },
    /// Tells the end of a job to its webhook again
    Redeliver {
        /// The job
        id: String,
    },
    /// Shows the secret that your webhooks are signed with
    Secret {
        /// Change it; the one before signs for another day as well
        #[arg(long)]
        rotate: bool,
    },
}

/// A delivery as the server tells it.
#[derive(Deserialize)]
struct Delivery {
    url: String,
    state: String,
    tries: u32,
    next_try_at: Option<Time>,
    last_try_at: Option<Time>,
    last_answer: Option<String>,
}

/// A secret as the server tells it.
#[derive(Deserialize)]
struct Secret {
    secret: String,
    previous_until: Option<Time>,
}

/// Asks the server.
///
/// # Errors
/// If there is no such job, or it has no webhook, or there is nothing to tell yet.
pub(crate) async fn run(args: &Args, client: &Client, console: Console) -> Result<Exit, Failure> {
    let ask = match &args.command {
        Command::Show { id } => Ask::get(format!("/v1/jobs/{}/webhook", encoded(id))),
        Command::Redeliver { id } => Ask::post(format!("/v1/jobs/{}/webhook/redeliver", encoded(id))),
        Command::Secret { rotate: false } => Ask::get("/v1/webhooks/secret"),
        Command::Secret { rotate: true } => Ask::post("/v1/webhooks/secret/rotate"),
    };
    let answer = client.call(ask).await?;
    let now = SystemClock.now();
    let text = match args.command {
        _ if console.json => answer.text(),
        Command::Secret { .. } => answer.parse::<Secret>()?.lines(console.out, now),
        _ => answer.parse::<Delivery>()?.page(console.out, now),
    };
    console.print(&text)?;
    Ok(Exit::Success)
}

impl Delivery {
    fn page(&self, paint: Paint, now: Time) -> String {
        let state = match self.state.as_str() {
            "delivered" => paint.green("delivered"),
            "given_up" => paint.red("given up"),
            _ => paint.cyan(&self.state.replace('_', " ")),
        };
        let mut rows = vec![("webhook", harmless(&self.url)), ("tries", self.tries.to_string())];
        rows.extend(self.next_try_at.map(|at| ("next try", moment(at, now))));
        rows.extend(self.last_try_at.map(|at| ("last try", moment(at, now))));
        rows.extend(self.last_answer.as_deref().map(|answer| ("answer", harmless(answer))));
        format!("{state}\n{}", table::pairs(&rows, paint))
    }
}

impl Secret {
    fn lines(&self, paint: Paint, now: Time) -> String {
        let previous = self.previous_until.map(|until| {
            let note = format!("the one before signs as well, and for the last time {}", relative(until, now));
            format!("\n{}", paint.dim(&note))
        });
        format!("{}{}", harmless(&self.secret), previous.unwrap_or_default())
    }
}
