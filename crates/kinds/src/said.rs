//! What a job's log says of work that an upstream does behind an id, so that a later attempt goes on where an earlier one was.

use raincheck_core::{Event, EventBody, MESSAGE_LENGTH_MAX};
use raincheck_engine::{Context, Failure};

/// Events of a log that are read at once.
const PAGE: u64 = 500;

/// What earlier attempts recorded behind a step; nothing if this attempt recorded it itself.
///
/// # Errors
/// If the log cannot be read.
pub(crate) async fn since(context: &Context, step: &str) -> Result<Vec<Event>, Failure> {
    let (mut events, mut end) = (Vec::new(), context.job().life.last_seq);
    let step = context.full_name(step);
    // From the end backwards: the step stands near it, if it is there at all.
    while end > 0 {
        let begin = end.saturating_sub(PAGE);
        let page = between(context, begin, end).await?;
        let place =
            page.iter().rposition(|event| matches!(&event.body, EventBody::Step(record) if record.name == step));
        events.splice(0..0, page.into_iter().skip(place.map_or(0, |place| place + 1)));
        if place.is_some() {
            return Ok(events);
        }
        end = begin;
    }
    Ok(Vec::new())
}

/// A page is cut short where its events are long.
async fn between(context: &Context, begin: u64, end: u64) -> Result<Vec<Event>, Failure> {
    let (mut events, mut seen) = (Vec::<Event>::new(), begin);
    while seen < end {
        let more = context.log(seen, usize::try_from(end - seen).unwrap_or(usize::MAX)).await?;
        let Some(last) = more.last() else { break };
        seen = last.seq;
        events.extend(more);
    }
    Ok(events)
}

/// Lines that an upstream says of its work, of which each is told once.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// What was told by earlier attempts, among other things: looked at once.
    earlier: Vec<String>,
    told: usize,
}

impl Lines {
    /// Those told behind a step.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub(crate) async fn of(context: &Context, step: &str) -> Result<Self, Failure> {
        let message = |event: Event| match event.body {
            EventBody::Progress(progress) => Some(progress.message),
            _ => None,
        };
        let earlier = since(context, step).await?.into_iter().filter_map(message).collect();
        Ok(Self { earlier, told: 0 })
    }

    /// Of all lines so far, those that were not told yet, as they are told: cut where a message ends.
    pub(crate) fn news<'a>(&mut self, lines: &'a [String]) -> Vec<&'a str> {
        let lines: Vec<&str> = lines.iter().map(|line| cut(line)).filter(|line| !line.is_empty()).collect();
        for message in std::mem::take(&mut self.earlier) {
            if lines.get(self.told).is_some_and(|line| *line == message) {
                self.told += 1;
            }
        }
        let news = lines.get(self.told..).unwrap_or_default().to_vec();
        self.told += news.len();
        news
    }
}

fn cut(line: &str) -> &str {
    let line = line.trim_end_matches(['\n', '\r']);
    &line[..line.floor_char_boundary(MESSAGE_LENGTH_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_line_is_news_once_also_after_a_restart() {
        let mut said = Lines::default();
        assert_eq!(said.news(&lines(&["a", "", "a"])), ["a", "a"]);
        assert_eq!(said.news(&lines(&["a", "", "a", "b\n"])), ["b"]);
        assert!(said.news(&lines(&[])).is_empty(), "it said less than before");
        let long = "ä".repeat(400);
        let earlier = vec!["In the queue".to_owned(), "a".to_owned(), "a".to_owned(), cut(&long).to_owned()];
        let mut said = Lines { earlier, told: 0 };
        assert_eq!(said.news(&lines(&["a", "a", &long, "b"])), ["b"]);
    }
}
