use serde_json::{Value, json};

use crate::figures::median;
use crate::store::callers::{Load, Measured};

/// The figures, as they are printed.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<String>,
    notes: Vec<String>,
    json: Vec<Value>,
}

/// Medians over the runs.
struct Medians {
    accepted: f64,
    cycled: f64,
    micros: [f64; 3],
}

const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];

impl Medians {
    fn of(runs: &[Measured]) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "waits of seconds at most")]
        let wait = |quantile| median(runs.iter().map(|run| run.waits.value_at_quantile(quantile) as f64).collect());
        Self {
            accepted: median(runs.iter().map(|run| run.accepted).collect()),
            cycled: median(runs.iter().map(|run| run.cycled).collect()),
            micros: QUANTILES.map(wait),
        }
    }

    fn waits(&self) -> String {
        self.micros.map(|micros| format!("{micros:.0}")).join(" / ")
    }

    fn json(&self) -> Value {
        let [p50, p99, p999] = self.micros;
        json!({
            "accepted_per_second": self.accepted.round(), "cycles_per_second": self.cycled.round(),
            "p50_us": p50, "p99_us": p99, "p99.9_us": p999,
        })
    }
}

impl Report {
    /// Adds what a load came to.
    pub(crate) fn add(&mut self, load: Load, floors: &[Measured], stores: &[Measured]) {
        let (floor, store) = (Medians::of(floors), Medians::of(stores));
        let rate = |medians: &Medians| match load {
            Load::Mixed => format!("{:.0} + {:.0}", medians.accepted, medians.cycled),
            Load::Accept(_) => format!("{:.0}", medians.accepted),
            Load::Cycle(_) => format!("{:.0}", medians.cycled),
        };
        let ratio = median(stores.iter().zip(floors).map(|(store, floor)| store.rate() / floor.rate()).collect());
        let row = format!(
            "| {} | {} | {} | {:.0} % | {} | {} |",
            load.name(),
            rate(&floor),
            rate(&store),
            ratio * 100.0,
            floor.waits(),
            store.waits()
        );
        eprintln!("{row}");
        self.rows.push(row);
        self.json.push(json!({"load": load.name(), "floor": floor.json(), "store": store.json(), "ratio": ratio}));
    }

    /// Adds a figure that has no floor.
    pub(crate) fn note(&mut self, name: &str, text: &str, value: &Value) {
        eprintln!("{name}: {text}");
        self.notes.push(format!("- {name}: {text}"));
        self.json.push(json!({"figure": name, "value": value}));
    }

    /// Prints Markdown, then JSON.
    pub(crate) fn print(&self) {
        println!("| load | floor/s | store/s | ratio | floor p50 / p99 / p99.9 µs | store p50 / p99 / p99.9 µs |");
        println!("|---|---|---|---|---|---|");
        self.rows.iter().for_each(|row| println!("{row}"));
        println!();
        self.notes.iter().for_each(|note| println!("{note}"));
        println!("\n```json\n{}\n```", serde_json::to_string_pretty(&self.json).unwrap_or_default());
    }
}
