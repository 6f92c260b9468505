//! `raincheck simulate`: a stand-in for providers, to test and drill with.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use raincheck_simulator::{Dialect, SimConfig, Simulator};

use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::serve::{limits, listen, signals::Signals};

/// Said wherever the simulator says anything: nobody may take its answers for a provider's.
const PLAINLY: &str = "Raincheck simulator: stands in for providers; nothing here is real";

/// Runs a simulator of AI providers, slow and faulty on demand.
///
/// It speaks OpenAI, Anthropic, FAL, Replicate and plain HTTP, each under its own path; docs/simulator.md has them all.
/// What it does is changed while it runs, with PUT /sim/config and POST /sim/faults.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:7247")]
    listen: SocketAddr,
    /// What to simulate: a JSON file, as PUT /sim/config takes it [default: quick answers, no limits, no faults]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What content and chance come from; before the file's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many simulated seconds of work pass in a second; before the file's
    #[arg(long, value_name = "X")]
    time_scale: Option<f64>,
}

/// Simulates until told to stop.
///
/// # Errors
/// If it could not start.
pub(crate) async fn run(args: Args, console: Console) -> Result<(), Failure> {
    let mut config = args.config.as_deref().map(read).transpose()?.unwrap_or_default();
    config.seed = args.seed.unwrap_or(config.seed);
    config.time_scale = args.time_scale.unwrap_or(config.time_scale);
    limits::raise_open_files();
    let mut signals = Signals::listen()?;
    let listener = listen::listen(listen::bind(args.listen)?, args.listen)?;
    let wrong = |error| Failure::new(Exit::Usage, format!("the simulator's configuration is wrong: {error}"));
    let simulator = Simulator::serve(config, listener).map_err(wrong)?;
    announce(&simulator, console);
    signals.next().await;
    simulator.stop().await;
    Ok(())
}

fn read(path: &Path) -> Result<SimConfig, Failure> {
    let wrong = |why: String| Failure::new(Exit::Usage, format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    SimConfig::from_json(&text).map_err(|error| wrong(error.to_string()))
}

/// Says that it is ready: to a person what to try, to a program the address on the first line of standard output.
fn announce(simulator: &Simulator, console: Console) {
    let mut out = std::io::stdout().lock();
    let said = if out.is_terminal() {
        writeln!(out, "{}", banner(simulator, console))
    } else {
        console.say(PLAINLY);
        writeln!(out, "listening on http://{}", simulator.address())
    };
    // Who closed standard output does not want to hear it.
    let _ = said.and_then(|()| out.flush());
}

fn banner(simulator: &Simulator, console: Console) -> String {
    let paint = console.out;
    let row = |name: &str, url: &str| format!("  {} {}", paint.dim(&format!("{name:<9}")), paint.cyan(url));
    let control = format!("http://{}/sim/config", simulator.address());
    let rows = [
        String::new(),
        format!("  {}", paint.yellow(PLAINLY)),
        String::new(),
        row("OpenAI", &simulator.url(Dialect::Openai)),
        row("Anthropic", &simulator.url(Dialect::Anthropic)),
        row("FAL", &simulator.url(Dialect::Fal)),
        row("Replicate", &simulator.url(Dialect::Replicate)),
        row("HTTP", &simulator.url(Dialect::Http)),
        row("control", &control),
        String::new(),
        format!("  {}", paint.dim("Try, in another terminal:")),
        format!(
            "    curl {}/chat/completions -H 'Content-Type: application/json' \\\n         -d '{{\"model\": \"gpt-sim\", \
             \"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'",
            simulator.url(Dialect::Openai)
        ),
        String::new(),
    ];
    rows.join("\n")
}
