//! How many jobs a second are accepted: `POST /v1/jobs` with an input of 512 bytes to a paused queue, from 256 connections,
//! each answered after its sync; and what that is worth beside the same server without its commit.

use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use crate::failure::Fallible;
use crate::figures::Figures;
use crate::load::{Requests, always};
use crate::machine::Machine;
use crate::plan::Plan;
use crate::report::{Report, count, millis};
use crate::server::Server;
use crate::{closed, jobs, paced};

const CLIENTS: u32 = 256;
const INPUT_BYTES: usize = 512;
const BACKLOG: usize = 1_000_000;
const ACCEPTED: u16 = 202;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// `raincheck serve`.
    Durable,
    /// With an idempotency key on each request.
    Keys,
    /// The stand-in with everything.
    StandIn,
    /// The stand-in without its commit.
    Uncommitted,
    /// `raincheck serve --store memory`.
    Memory,
}

impl Variant {
    const ALL: [Self; 5] = [Self::Durable, Self::Keys, Self::StandIn, Self::Uncommitted, Self::Memory];

    fn name(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Keys => "durable, with idempotency keys",
            Self::StandIn => "durable, stand-in",
            Self::Uncommitted => "stand-in without its commit",
            Self::Memory => "memory store",
        }
    }

    async fn start(self, data: &Path) -> Fallible<Server> {
        match self {
            Self::Durable | Self::Keys => Server::start(data, &[]).await,
            Self::Memory => Server::start(data, &[("RAINCHECK_STORE_KIND", "memory")]).await,
            Self::StandIn => Server::start_stand_in(data, "durable", &[]).await,
            Self::Uncommitted => Server::start_stand_in(data, "uncommitted", &[]).await,
        }
    }

    fn requests(self) -> Requests {
        let wish = jobs::wish("echo", jobs::PAUSED, INPUT_BYTES);
        if self == Self::Keys { jobs::submit_with_keys(&wish) } else { always(jobs::submit(&wish)) }
    }
}

/// Measures and prints.
pub(crate) fn bench(plan: Plan) -> Fallible<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(plan))
}

async fn measure(plan: Plan) -> Fallible<()> {
    let scratch = TempDir::with_prefix("raincheck-bench-")?;
    let machine = Machine::look(scratch.path())?;
    let backlog = plan.scaled(BACKLOG);
    let full = Server::start(&scratch.path().join("full"), &[]).await?;
    jobs::pause(full.address).await?;
    jobs::fill(full.address, backlog, &jobs::wish("echo", jobs::PAUSED, INPUT_BYTES)).await?;
    let mut figures: Vec<(&str, Figures)> = Variant::ALL.map(|variant| (variant.name(), Figures::default())).into();
    let mut of_full = Figures::default();
    for round in 0..plan.rounds {
        // Just before the empty one, with which it is compared.
        eprintln!("accept: round {} of {}, {backlog} queued", round + 1, plan.rounds);
        saturate(plan, &full, &Variant::Durable.requests(), &mut of_full).await?;
        for (variant, (name, figures)) in Variant::ALL.into_iter().zip(&mut figures) {
            eprintln!("accept: round {} of {}, {name}", round + 1, plan.rounds);
            let data = TempDir::new_in(scratch.path())?;
            let server = variant.start(data.path()).await?;
            jobs::pause(server.address).await?;
            saturate(plan, &server, &variant.requests(), figures).await?;
            if variant == Variant::Durable {
                at_half(plan, &server, &variant.requests(), figures).await?;
            }
            server.kill().await?;
        }
    }
    report(machine, backlog, &figures, &of_full);
    Ok(())
}

/// As fast as it goes.
async fn saturate(plan: Plan, server: &Server, requests: &Requests, figures: &mut Figures) -> Fallible<()> {
    let before = server.cpu_seconds()?;
    let counted =
        closed::load(server.address, CLIENTS as usize, requests, ACCEPTED, (plan.warm_up, plan.window)).await?;
    let computed = server.cpu_seconds()? - before;
    figures.add("per_second", counted.rate());
    figures.add("p50_us", counted.quantile(0.5));
    figures.add("p99_us", counted.quantile(0.99));
    figures.add("p999_us", counted.quantile(0.999));
    #[expect(clippy::cast_precision_loss, reason = "nobody counts 2^52 answers")]
    figures.add("server_cpu_us", computed * 1e6 / counted.good as f64);
    Ok(())
}

/// At half of what was just measured.
async fn at_half(plan: Plan, server: &Server, requests: &Requests, figures: &mut Figures) -> Fallible<()> {
    let rate = figures.last("per_second") / 2.0;
    let counted = paced::load(server.address, CLIENTS, rate, requests, ACCEPTED, (plan.warm_up, plan.window)).await?;
    figures.add("half_per_second", counted.rate());
    figures.add("half_p50_us", counted.quantile(0.5));
    figures.add("half_p99_us", counted.quantile(0.99));
    figures.add("half_p999_us", counted.quantile(0.999));
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a small number")]
fn report(machine: Machine, backlog: usize, figures: &[(&str, Figures)], of_full: &Figures) {
    let mut report = Report::new("Accept: POST /v1/jobs, 512-byte input, 256 connections", machine);
    let of = |variant: Variant| {
        let found = figures.iter().find(|(name, _)| *name == variant.name());
        found.map_or(of_full, |(_, figures)| figures)
    };
    for (name, figures) in figures {
        report.row(*name, told(figures), "");
    }
    let full = format!("durable, {} queued", count(backlog as f64));
    report.row(&full, told(of_full), "");
    let (durable, stand_in) = (of(Variant::Durable), of(Variant::StandIn));
    let without = of(Variant::Uncommitted);
    report.row(
        "durable ÷ without commit",
        format!("{:.2} (stand-in: {:.2})", durable.ratio("per_second", without), stand_in.ratio("per_second", without)),
        "≥ 0.60",
    );
    report.row("p99 at saturation", millis(durable.median("p99_us")), "< 100 ms");
    let half = format!("p99 at half of it ({}/s, open loop)", count(durable.median("half_per_second")));
    report.row(half, millis(durable.median("half_p99_us")), "< 10 ms");
    report.row("full ÷ empty", format!("{:.2}", of_full.ratio("per_second", durable)), "≥ 0.90");
    for (name, figures) in figures {
        report.data(name, figures.json());
    }
    report.data(&full, of_full.json());
    report.data("backlog", json!(backlog));
    report.print();
}

fn told(figures: &Figures) -> String {
    format!(
        "{}/s, p50 {}, p99 {}, {:.0} µs of server CPU each",
        count(figures.median("per_second")),
        millis(figures.median("p50_us")),
        millis(figures.median("p99_us")),
        figures.median("server_cpu_us"),
    )
}
