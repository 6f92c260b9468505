use std::collections::{BTreeMap, BTreeSet};

use raincheck_core::{Event, EventBody, Json, Outcome, Problem, ProblemType};
use serde_json::Value;

use super::face::{self, Face};
use super::items::{Item, told_whole};
use super::text;
use crate::dialect::Fields;
use crate::openai::error;

/// A job's log as OpenAI tells the making of a Response: `response.*` events, numbered from 0 without gaps.
///
/// What it tells follows from the log alone, so that every reader is told the same under the same numbers, whenever it comes.
/// `response.created` is told once, whatever happens to the job. When an attempt starts the text anew, what the one before it
/// left open is closed as `incomplete`, and the new items follow behind the old; the Response at the end holds only the new.
/// An attempt that finds the Response at its upstream goes on with the text: its first output says so by its number.
pub(super) struct Tale {
    face: Face,
    number: u64,
    has_started: bool,
    /// Another attempt has started, and has said nothing yet.
    is_anew: bool,
    attempt: u32,
    /// At which place of the output the items of this attempt begin.
    base: usize,
    /// The items of this attempt, by their place in it.
    items: BTreeMap<usize, Item>,
    /// The ids of items of earlier attempts.
    earlier: BTreeSet<String>,
    end: Option<Json>,
}

/// One event of a tale.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) name: String,
    pub(super) data: Json,
}

impl Tale {
    pub(super) fn new(face: Face) -> Self {
        let (items, earlier) = (BTreeMap::new(), BTreeSet::new());
        Self { face, number: 0, has_started: false, is_anew: false, attempt: 0, base: 0, items, earlier, end: None }
    }

    /// The Response as it ended, once it has.
    pub(super) fn end(self) -> Option<Json> {
        self.end
    }

    /// What an event of the log adds.
    pub(super) fn tell(&mut self, event: &Event) -> Vec<Line> {
        let mut lines = Vec::new();
        match &event.body {
            EventBody::Accepted(_) => {
                let response = self.face.open("queued");
                for name in ["response.created", "response.queued"] {
                    lines.push(self.lifecycle(name, &response));
                }
            }
            EventBody::Started(_) => self.start(event.attempt, &mut lines),
            EventBody::Output(output) => self.output(output, &mut lines),
            EventBody::Finished(outcome) => match face::answer(outcome) {
                Some(answer) => self.complete(event, answer, &mut lines),
                None => self.fail(event, outcome, &mut lines),
            },
            _ => {}
        }
        lines
    }

    fn start(&mut self, attempt: u32, lines: &mut Vec<Line>) {
        self.attempt = attempt;
        if !std::mem::replace(&mut self.has_started, true) {
            let response = self.face.open("in_progress");
            return lines.push(self.lifecycle("response.in_progress", &response));
        }
        self.is_anew = true;
    }

    /// What the attempts before have left is given up for the text of this one.
    fn begin_anew(&mut self, lines: &mut Vec<Line>) {
        self.is_anew = false;
        self.close(lines);
        self.base += self.items.keys().next_back().map_or(0, |last| last + 1);
        for item in std::mem::take(&mut self.items).into_values() {
            self.earlier.extend(ids(&item.given_up()));
        }
    }

    /// Items that are still open are left as they are.
    fn close(&mut self, lines: &mut Vec<Line>) {
        let open: Vec<(usize, Json)> =
            self.items.iter().filter(|(_, item)| item.is_open()).map(|(at, item)| (*at, item.given_up())).collect();
        for (place, item) in open {
            lines.push(self.done(place, item));
        }
    }

    fn done(&mut self, place: usize, item: Json) -> Line {
        let mut fields = Fields::of("{}").expect("it is an object");
        fields.set("item", &item);
        self.items.insert(place, Item::Done(item));
        self.at("response.output_item.done", place, fields)
    }

    /// What an upstream's own event comes to. The life of the Response is ours to tell.
    fn output(&mut self, output: &Json, lines: &mut Vec<Line>) {
        let Some(fields) = Fields::of(output.as_str()) else { return };
        // Events are numbered from 0: what begins further on goes on.
        let number = fields.get("sequence_number").and_then(|number| number.parse::<u64>().ok());
        if self.is_anew && number.is_none_or(|number| number == 0) {
            self.begin_anew(lines);
        }
        self.is_anew = false;
        lines.extend(self.renumbered(fields));
    }

    fn renumbered(&mut self, mut fields: Fields) -> Option<Line> {
        let name: String = serde_json::from_str(fields.get("type")?).ok()?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_');
        let is_ours = matches!(name.as_str(), "error" | "keepalive" | "response.created" | "response.queued")
            || matches!(
                name.as_str(),
                "response.in_progress" | "response.completed" | "response.failed" | "response.incomplete"
            );
        if is_ours || !name.bytes().all(is_plain) {
            return None;
        }
        for place in ["item_id", "item"] {
            if let Some(renamed) = fields.get(place).and_then(|value| self.renamed(value)) {
                fields.set(place, &renamed);
            }
        }
        let place: Option<usize> = fields.get("output_index").and_then(|number| number.parse().ok());
        let Some(place) = place else { return Some(self.numbered(&name, fields)) };
        self.keep(&name, place, &fields);
        Some(self.at(&name, place, fields))
    }

    fn keep(&mut self, name: &str, place: usize, fields: &Fields) {
        match (name, fields.get("item")) {
            ("response.output_item.added", Some(item)) => {
                self.items.insert(place, Item::added(item));
            }
            ("response.output_item.done", Some(item)) => {
                let item = Json::from_text(item.to_owned()).unwrap_or_default();
                self.items.insert(place, Item::Done(item));
            }
            _ if name.ends_with(".delta") || name.ends_with("_part.added") => {
                if let Some(item) = self.items.get_mut(&place) {
                    item.take(name, &serde_json::from_str(fields.json().as_str()).unwrap_or_default());
                }
            }
            _ => {}
        }
    }

    /// An item, or the id of one, under another name if an item of an earlier attempt has the same: clients keep items by it.
    fn renamed(&self, value: &str) -> Option<Json> {
        if self.earlier.is_empty() {
            return None;
        }
        let new = |id: &str| self.earlier.contains(id).then(|| format!("{id}_{}", self.attempt));
        if let Ok(id) = serde_json::from_str::<String>(value) {
            return new(&id).map(|id| text(&id));
        }
        let mut item = Fields::of(value)?;
        let mut is_renamed = false;
        for name in ["id", "call_id"] {
            if let Some(id) = item.get(name).and_then(|id| new(&serde_json::from_str::<String>(id).ok()?)) {
                item.set(name, &text(&id));
                is_renamed = true;
            }
        }
        is_renamed.then(|| item.json())
    }

    fn complete(&mut self, event: &Event, result: &Json, lines: &mut Vec<Line>) {
        let output = face::output(result);
        // Nothing more was said of it: it is what was being told, unless it has other items.
        let is_told = |item: &Json| ids(item).any(|id| self.items.values().any(|known| known.has(&id)));
        if self.is_anew && !output.iter().any(is_told) {
            self.begin_anew(lines);
        }
        let output: Vec<Json> = output.into_iter().map(|item| self.renamed(item.as_str()).unwrap_or(item)).collect();
        for (place, item) in output.iter().enumerate() {
            match self.items.get(&place) {
                Some(Item::Done(_)) => {}
                Some(Item::Open(_)) => lines.push(self.done(place, item.clone())),
                // Told by nobody yet: the upstream gave the answer in one piece, or the log was full.
                None => self.tell_whole(place, item, lines),
            }
        }
        self.close(lines);
        let (response, status) = self.face.completed(result, event.at, &output);
        let name = match status {
            "completed" => "response.completed",
            "incomplete" => "response.incomplete",
            _ => "response.failed",
        };
        lines.push(self.lifecycle(name, &response));
        self.end = Some(response);
    }

    fn tell_whole(&mut self, place: usize, item: &Json, lines: &mut Vec<Line>) {
        let id = ids(item).next().unwrap_or_default();
        for (name, fields) in told_whole(item, &id) {
            let fields = Fields::of(&fields.to_string()).expect("it is an object");
            lines.push(self.at(name, place, fields));
        }
        lines.push(self.done(place, item.clone()));
    }

    fn fail(&mut self, event: &Event, outcome: &Outcome, lines: &mut Vec<Line>) {
        self.close(lines);
        let (status, problem) = ended(outcome);
        let output: Vec<Json> = self.items.values().map(Item::given_up).collect();
        let response = self.face.failed(status, event.at, error::of_response(&problem), &output);
        // OpenAI has no event for a Response that was cancelled. Of those that end one, this alone is never taken for success.
        lines.push(self.lifecycle("response.failed", &response));
        self.end = Some(response);
    }

    fn lifecycle(&mut self, name: &str, response: &Json) -> Line {
        let mut fields = Fields::of("{}").expect("it is an object");
        fields.set("response", response);
        self.numbered(name, fields)
    }

    fn at(&mut self, name: &str, place: usize, mut fields: Fields) -> Line {
        fields.set("output_index", &Json::from(Value::from(self.base + place)));
        self.numbered(name, fields)
    }

    fn numbered(&mut self, name: &str, mut fields: Fields) -> Line {
        let number = self.number;
        self.number += 1;
        fields.set("type", &text(name));
        fields.set("sequence_number", &Json::from(Value::from(number)));
        Line { number, name: name.to_owned(), data: fields.json() }
    }
}

/// How a Response that came to nothing ended, and why.
fn ended(outcome: &Outcome) -> (&'static str, Problem) {
    let problem = crate::jobs::error(outcome).map(std::borrow::Cow::into_owned);
    let problem = problem.unwrap_or_else(|| Problem::new(ProblemType::INTERNAL, "it ended without a reason"));
    (if matches!(outcome, Outcome::Cancelled(_)) { "cancelled" } else { "failed" }, problem)
}

/// The names by which clients know an item.
fn ids(item: &Json) -> impl Iterator<Item = String> {
    let fields = Fields::of(item.as_str());
    let id = |name| serde_json::from_str::<String>(fields.as_ref()?.get(name)?).ok();
    [id("id"), id("call_id")].into_iter().flatten()
}
