use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::folder::Text;

/// How long a passage becomes, in bytes: paragraphs are joined up to this, and a longer one is parted.
const PASSAGE_MAX: usize = 1_200;
/// The longest heading that is kept, in characters.
const HEADING_MAX: usize = 200;

/// A piece of a text that can be understood by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passage {
    /// The title of the text.
    pub(super) title: String,
    /// The file of the text.
    pub(super) source: String,
    /// The headings above it, the outermost first.
    pub(super) headings: Vec<String>,
    pub(super) text: String,
}

/// The passages of a text, in its order. None goes across a heading.
pub(super) fn passages(text: &Text) -> Vec<Passage> {
    let mut parted = Parted::default();
    if text.is_markdown {
        markdown(&text.text, &mut parted);
    } else {
        plain(&text.text, &mut parted);
    }
    parted.end_passage();
    let title = parted.title.map_or_else(|| named(&text.source), |(_, title)| title);
    let passage =
        |(headings, passage)| Passage { title: title.clone(), source: text.source.clone(), headings, text: passage };
    parted.passages.into_iter().map(passage).collect()
}

/// What a text is called that has no heading.
fn named(source: &str) -> String {
    let name = source.rsplit('/').next().unwrap_or(source);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    stem.replace(['-', '_'], " ")
}

/// Passages as they are found.
#[derive(Default)]
struct Parted {
    /// The first heading of the highest level so far.
    title: Option<(HeadingLevel, String)>,
    /// The headings above, with their levels.
    above: Vec<(HeadingLevel, String)>,
    /// What the passage under way has.
    text: String,
    passages: Vec<(Vec<String>, String)>,
}

impl Parted {
    fn heading(&mut self, level: HeadingLevel, text: &str) {
        self.end_passage();
        let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(HEADING_MAX).collect();
        self.above.retain(|(above, _)| *above < level);
        if text.is_empty() {
            return;
        }
        if self.title.as_ref().is_none_or(|(title, _)| level < *title) {
            self.title = Some((level, text.clone()));
        }
        self.above.push((level, text));
    }

    fn block(&mut self, block: &str) {
        let block = block.trim_end();
        if !self.text.is_empty() && self.text.len() + block.len() > PASSAGE_MAX {
            self.end_passage();
        }
        let mut rest = block;
        while rest.len() > PASSAGE_MAX {
            let (piece, after) = rest.split_at(seam(rest));
            self.add(piece.trim());
            self.end_passage();
            rest = after;
        }
        self.add(rest);
    }

    fn add(&mut self, text: &str) {
        if !self.text.is_empty() && !text.is_empty() {
            self.text.push_str("\n\n");
        }
        self.text.push_str(text);
    }

    fn end_passage(&mut self) {
        let text = std::mem::take(&mut self.text);
        if !text.trim().is_empty() {
            self.passages.push((self.above.iter().map(|(_, text)| text.clone()).collect(), text));
        }
    }
}

/// Where a block that is too long is best parted: behind a sentence, or else between words, or else anywhere.
fn seam(block: &str) -> usize {
    let head = &block[..block.floor_char_boundary(PASSAGE_MAX)];
    let sentence = [". ", "? ", "! ", ".\n", "\n"].iter().filter_map(|end| Some(head.rfind(end)? + end.len())).max();
    let word = || head.rfind(char::is_whitespace).map(|at| at + 1);
    sentence.filter(|at| *at > PASSAGE_MAX / 2).or_else(word).filter(|at| *at > 1).unwrap_or(head.len())
}

fn markdown(text: &str, parted: &mut Parted) {
    let options = Options::ENABLE_TABLES | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let (mut depth, mut heading) = (0_usize, None::<String>);
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        match event {
            Event::Start(tag) => {
                match tag {
                    Tag::Heading { .. } if depth == 0 => heading = Some(String::new()),
                    Tag::MetadataBlock(_) => {}
                    Tag::HtmlBlock if text[range.clone()].trim_start().starts_with("<!--") => {}
                    // Its first line is indented as the others are.
                    _ if depth == 0 => parted.block(&text[range]),
                    _ => {}
                }
                depth += 1;
            }
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                if let (TagEnd::Heading(level), Some(text)) = (tag, heading.take_if(|_| depth == 0)) {
                    parted.heading(level, &text);
                }
            }
            Event::Text(piece) | Event::Code(piece) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&piece);
                }
            }
            Event::SoftBreak | Event::HardBreak => {
                if let Some(heading) = &mut heading {
                    heading.push(' ');
                }
            }
            _ => {}
        }
    }
}

/// Paragraphs with blank lines between them.
fn plain(text: &str, parted: &mut Parted) {
    let mut paragraph = String::new();
    for line in text.lines().chain([""]) {
        if !line.trim().is_empty() {
            paragraph.push_str(line);
            paragraph.push('\n');
        } else if !paragraph.is_empty() {
            parted.block(&std::mem::take(&mut paragraph));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(source: &str, text: &str) -> Vec<(String, Vec<String>, String)> {
        let is_markdown = source.ends_with(".md");
        let text = Text { source: source.into(), text: text.into(), is_markdown };
        passages(&text).into_iter().map(|passage| (passage.title, passage.headings, passage.text)).collect()
    }

    #[test]
    fn a_passage_knows_the_headings_above_it() {
        let text = "---\nauthor: me\n---\nBefore.\n\n# The *sea*\n\nDeep.\n\nBlue.\n\n## Tides\n\n```\n# no heading\n```\n\n\
                    <!-- a remark -->\n\nMoon\n----\n\n- one\n- two\n\n# Land\n\nDry.\n";
        let sea = || "The sea".to_owned();
        assert_eq!(
            of("a.md", text),
            [
                (sea(), vec![], "Before.".into()),
                (sea(), vec![sea()], "Deep.\n\nBlue.".into()),
                (sea(), vec![sea(), "Tides".into()], "```\n# no heading\n```".into()),
                (sea(), vec![sea(), "Moon".into()], "- one\n- two".into()),
                (sea(), vec!["Land".into()], "Dry.".into()),
            ]
        );
    }

    #[test]
    fn plain_text_is_called_as_its_file_is() {
        assert_eq!(
            of("x/opening-hours.txt", "Nine\nto five.\n\n\n# none\n"),
            [("opening hours".to_owned(), vec![], "Nine\nto five.\n\n# none".to_owned())]
        );
        assert!(of("empty.txt", "\n \n").is_empty() && of("empty.md", "# Only\n").is_empty());
    }

    #[test]
    fn what_is_long_is_parted_and_nothing_is_lost() {
        let sentence = "This is a sentence with some words in it. ";
        let long = sentence.repeat(100);
        let parts = of("a.txt", &long);
        assert!(parts.len() > 3 && parts.iter().all(|(_, _, text)| text.len() <= PASSAGE_MAX && text.ends_with("it.")));
        let words = |text: &str| text.split_whitespace().count();
        assert_eq!(parts.iter().map(|(_, _, text)| words(text)).sum::<usize>(), words(&long));
        let unbroken = "ä".repeat(5_000);
        let parts = of("a.txt", &unbroken);
        assert_eq!(parts.iter().map(|(_, _, text)| text.chars().count()).sum::<usize>(), 5_000);
        let paragraphs = format!("{}\n\n", sentence.repeat(10)).repeat(10);
        assert!(of("a.txt", &paragraphs).iter().all(|(_, _, text)| text.len() <= PASSAGE_MAX + 2));
    }
}
