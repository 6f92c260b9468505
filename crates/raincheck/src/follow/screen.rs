use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use raincheck_core::{Became, EventBody, FollowUp, Outcome, Problem, Progress, Spec, Time};
use serde_json::Value;

use crate::client::Event;
use crate::console::{Console, harmless};
use crate::exit::{Exit, Failure};
use crate::show;
use raincheck_recipes::duration;

/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// Where a job's events are shown: a bar with its progress on standard error, and what it gives on standard output.
pub(crate) struct Screen {
    console: Console,
    bar: ProgressBar,
    has_length: bool,
    kind: String,
    /// What a language model has said since the last line that is shown.
    said: String,
    /// Another attempt has started, and has said nothing yet.
    is_anew: bool,
    started_at: Option<Time>,
}

impl Screen {
    pub(crate) fn new(console: Console) -> Self {
        let bar = if console.live { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        bar.set_style(spinner());
        bar.enable_steady_tick(TICK);
        Self {
            console,
            bar,
            has_length: false,
            kind: String::new(),
            said: String::new(),
            is_anew: false,
            started_at: None,
        }
    }

    pub(crate) fn console(&self) -> Console {
        self.console
    }

    /// Shows in the bar what is being waited for; whether there is one to see.
    pub(crate) fn is_live(&self, waiting_for: &str) -> bool {
        self.bar.set_message(waiting_for.to_owned());
        self.console.live
    }

    /// Takes the bar away.
    pub(crate) fn leave(&self) {
        self.bar.finish_and_clear();
    }

    /// Shows an event; of the last, what it means to whoever asked.
    ///
    /// # Errors
    /// If nobody reads any more.
    pub(crate) fn show(&mut self, event: &Event) -> Result<Option<Exit>, Failure> {
        if self.console.json {
            self.bar.suspend(|| self.console.print(&event.text))?;
        }
        match &event.body {
            Some(EventBody::Accepted(spec)) => self.accepted(spec, event.at),
            Some(EventBody::Started(_)) => self.started(event),
            Some(EventBody::Progress(progress)) => self.progress(progress),
            Some(EventBody::Output(output)) if !self.console.json => self.output(output.as_str())?,
            Some(EventBody::Step(step)) => {
                self.said_all()?;
                self.note(&format!("step {} done", harmless(&step.name)));
            }
            Some(EventBody::FollowUp(follow_up)) => self.note(&followed_up(follow_up)),
            Some(EventBody::RetryScheduled(problem, run_at)) => self.retry(problem, event.attempt, *run_at, event.at),
            Some(EventBody::Postponed(problem, run_at)) => self.postponed(problem, *run_at, event.at),
            Some(EventBody::LeaseLost(worker)) => self.queued_again(&format!(
                "attempt {} lost its lease (worker {} died or stalled); the job waits for another",
                event.attempt,
                harmless(worker.as_str())
            )),
            Some(EventBody::Released(_)) => {
                self.queued_again(&format!("attempt {} was handed back; the job waits for another", event.attempt));
            }
            Some(EventBody::CancelRequested(reason)) => {
                let why = reason.as_ref().map(|reason| format!(" ({})", harmless(reason))).unwrap_or_default();
                self.note(&format!("asked to stop{why}"));
            }
            Some(EventBody::LogFull(limit)) => {
                self.note(&format!("the log is full ({limit} events): progress and output are left out from here on"));
            }
            Some(EventBody::Finished(outcome)) => return self.finished(outcome, event.at).map(Some),
            _ => {}
        }
        Ok(None)
    }

    /// Says that the connection is lost and will be tried again.
    pub(crate) fn lost(&mut self, reason: &str, wait: Duration) {
        let line = format!("{reason}; connecting again in {}", duration::show(wait));
        self.note(&line);
    }

    /// Says that the connection is there again.
    pub(crate) fn found(&mut self) {
        self.note("connected again; going on after the last event seen");
    }

    fn accepted(&mut self, spec: &Spec, now: Time) {
        self.kind = spec.kind.as_str().to_owned();
        let message = if spec.run_at > now {
            format!("scheduled for {}", show::moment(spec.run_at, now))
        } else {
            "queued".to_owned()
        };
        self.bar.set_message(message);
    }

    fn started(&mut self, event: &Event) {
        self.is_anew = true;
        self.started_at.get_or_insert(event.at);
        self.spin("running".to_owned());
        if event.attempt > 1 {
            self.note(&format!("attempt {} started", event.attempt));
        }
    }

    fn progress(&mut self, progress: &Progress) {
        let message = harmless(&progress.message);
        if progress.total.is_none() && progress.percent <= 0.0 {
            return self.bar.set_message(message);
        }
        if !self.has_length {
            self.has_length = true;
            self.bar.set_style(with_length());
            self.bar.set_length(100);
            self.bar.reset_eta();
        }
        self.bar.set_position(whole_percent(progress.percent));
        self.bar.set_message(message);
    }

    /// A bar without a length, as between attempts.
    fn spin(&mut self, message: String) {
        self.has_length = false;
        self.bar.set_style(spinner());
        self.bar.set_position(0);
        self.bar.set_message(message);
    }

    fn output(&mut self, json: &str) -> Result<(), Failure> {
        let event: Option<Value> = serde_json::from_str(json).ok();
        // What an attempt that failed has said is begun anew; one that goes on says so by the number of its first event.
        if std::mem::take(&mut self.is_anew)
            && event.as_ref().is_none_or(|event| event["sequence_number"].as_u64().is_none_or(|number| number == 0))
        {
            self.said.clear();
        }
        if let Some(piece) = event.and_then(|event| show::model::piece(&self.kind, &event)) {
            return self.say(&piece);
        }
        let text = serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned());
        let lines: Vec<String> = text.lines().map(harmless).collect();
        self.bar.suspend(|| self.console.print(&lines.join("\n")))
    }

    /// Shows the text of a language model line by line as it grows; the line that has not ended is shown in the bar.
    fn say(&mut self, piece: &str) -> Result<(), Failure> {
        self.said.push_str(piece);
        while let Some(length) = line_length(&self.said) {
            let line: String = self.said.drain(..length).collect();
            self.bar.suspend(|| self.console.print(&harmless(line.trim_end())))?;
        }
        self.bar.set_message(harmless(&self.said));
        Ok(())
    }

    /// Shows the rest of what was said.
    fn said_all(&mut self) -> Result<(), Failure> {
        let rest = std::mem::take(&mut self.said);
        if rest.is_empty() { Ok(()) } else { self.bar.suspend(|| self.console.print(&harmless(rest.trim_end()))) }
    }

    fn retry(&mut self, problem: &Problem, attempt: u32, run_at: Time, now: Time) {
        let wait = show::length(run_at.since(now));
        let what = format!("{}: {}", harmless(&problem.title), harmless(&problem.detail));
        self.note(&format!("attempt {attempt} failed: {what}; next attempt in {wait}"));
        self.spin("waiting for the next attempt".to_owned());
    }

    /// Said once for all the times in a row: a provider may be closed for hours.
    fn postponed(&mut self, problem: &Problem, run_at: Time, now: Time) {
        let wait = show::length(run_at.since(now));
        self.spin(format!("waiting {wait}: {}", harmless(&problem.detail)));
    }

    fn queued_again(&mut self, what: &str) {
        self.note(what);
        self.spin("queued".to_owned());
    }

    /// A line above the bar.
    fn note(&self, line: &str) {
        let mark = self.console.err.yellow("•");
        self.bar.suspend(|| self.console.say(&format!("{mark} {line}")));
    }

    fn finished(&mut self, outcome: &Outcome, now: Time) -> Result<Exit, Failure> {
        self.said_all()?;
        self.leave();
        let (exit, lines) = self.ending(outcome, now);
        if !self.console.json {
            self.console.print(&lines)?;
        }
        Ok(exit)
    }

    fn ending(&self, outcome: &Outcome, now: Time) -> (Exit, String) {
        let paint = self.console.out;
        let took = self.started_at.map(|at| format!(" after {}", show::length(now.since(at)))).unwrap_or_default();
        match outcome {
            Outcome::Completed(result) => {
                let shown = show::result(&self.kind, result.as_str(), paint);
                (Exit::Success, format!("{}{took}\n\n{shown}\n", paint.green("✔ completed")))
            }
            Outcome::Failed(problem) => {
                (Exit::Failed, format!("{}{took}\n\n{}\n", paint.red("✘ failed"), show::problem(problem, paint)))
            }
            Outcome::Cancelled(reason) => {
                let why = reason.as_ref().map(|reason| format!(": {}", harmless(reason))).unwrap_or_default();
                (Exit::Cancelled, format!("{}{took}{why}", paint.yellow("✘ cancelled")))
            }
            Outcome::Expired => (Exit::Expired, format!("{}{took}: its deadline passed", paint.yellow("✘ expired"))),
        }
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner:.cyan} {wide_msg}  {elapsed:.dim}").expect("a constant template")
}

fn with_length() -> ProgressStyle {
    ProgressStyle::with_template("{spinner:.cyan} {bar:30.cyan/dim} {percent:>3}%  {wide_msg}  {eta:.dim}")
        .expect("a constant template")
        .progress_chars("━╸─")
}

/// The whole percents of a progress: only all of it is 100.
fn whole_percent(percent: f64) -> u64 {
    (0..=100_u8).rev().find(|whole| f64::from(*whole) <= percent).map_or(0, u64::from)
}

/// A line is broken after so many letters at the latest.
const LINE_LENGTH_MAX: usize = 76;

/// How many bytes of the text are a line: up to its end, or up to the last space that fits. `None` if it may still grow.
fn line_length(text: &str) -> Option<usize> {
    if let Some(end) = text.find('\n').filter(|end| text[..*end].chars().count() <= LINE_LENGTH_MAX) {
        return Some(end + 1);
    }
    let (beyond, _) = text.char_indices().nth(LINE_LENGTH_MAX)?;
    Some(text[..beyond].rfind(' ').map_or(beyond, |space| space + 1))
}

/// Which job follows up the one that is followed, or why none.
fn followed_up(FollowUp { kind, became }: &FollowUp) -> String {
    match became {
        Became::Job(job) => format!("followed up by {job} ({kind})"),
        Became::Error(problem) => format!("not followed up by a job of kind {kind}: {}", harmless(&problem.detail)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_they_end_or_at_the_last_space_that_fits() {
        assert_eq!(line_length("short"), None);
        assert_eq!(line_length("one\ntwo"), Some(4));
        let long = format!("{} {}", "a".repeat(40), "b".repeat(40));
        assert_eq!(line_length(&long), Some(41));
        assert_eq!(line_length(&"ä".repeat(80)), Some(2 * LINE_LENGTH_MAX));
    }

    #[test]
    fn only_all_of_it_is_100() {
        assert_eq!([0.0, 44.9, 99.99, 100.0, 250.0, f64::NAN].map(whole_percent), [0, 44, 99, 100, 100, 0]);
    }

    #[test]
    fn the_templates_are_good() {
        let _ = (spinner(), with_length());
    }
}
