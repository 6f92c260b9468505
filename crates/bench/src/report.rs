//! What a benchmark prints: a table for people, a line for machines.

use serde_json::{Map, Value, json};

use crate::machine::Machine;

/// A benchmark's results.
pub(crate) struct Report {
    title: &'static str,
    machine: Machine,
    rows: Vec<[String; 3]>,
    notes: Vec<String>,
    json: Map<String, Value>,
}

impl Report {
    /// An empty report of what was measured on this machine.
    pub(crate) fn new(title: &'static str, machine: Machine) -> Self {
        Self { title, machine, rows: Vec::new(), notes: Vec::new(), json: Map::new() }
    }

    /// A row of the table. `required` is empty where nothing is.
    pub(crate) fn row(&mut self, what: impl Into<String>, measured: impl Into<String>, required: impl Into<String>) {
        self.rows.push([what.into(), measured.into(), required.into()]);
    }

    /// What a reader should know.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// What a program may read.
    pub(crate) fn data(&mut self, name: &str, value: Value) {
        self.json.insert(name.to_owned(), value);
    }

    /// Prints everything.
    pub(crate) fn print(self) {
        println!("\n### {}\n\n{}\n", self.title, self.machine.told());
        println!("| what | measured | required |\n|---|---|---|");
        for [what, measured, required] in &self.rows {
            println!("| {what} | {measured} | {required} |");
        }
        println!();
        for note in &self.notes {
            println!("- {note}");
        }
        let data = json!({ "benchmark": self.title, "machine": self.machine.json(), "figures": self.json });
        println!("\n{data}");
    }
}

/// A count, with its thousands set apart.
pub(crate) fn count(value: f64) -> String {
    if !value.is_finite() {
        return "?".to_owned();
    }
    let digits = format!("{:.0}", value.abs());
    let groups: Vec<String> =
        digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    format!("{}{}", if value < 0.0 { "-" } else { "" }, groups.join(","))
}

/// Microseconds as milliseconds.
pub(crate) fn millis(micros: f64) -> String {
    format!("{:.2} ms", micros / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(count(7.0), "7");
        assert_eq!(count(1234.4), "1,234");
        assert_eq!(count(1_000_000.0), "1,000,000");
    }
}
