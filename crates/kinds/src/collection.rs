//! `collection.search`: the passages of a collection of texts that speak of what is asked.

mod collections;
mod folder;
mod index;
mod passages;
mod words;

use std::sync::Arc;

use raincheck_core::{Json, Problem, ProblemType};
use raincheck_engine::{About, BlockingContext, BlockingHandler, Failure};
use raincheck_recipes::nearest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input;
pub use collections::{CollectionError, Collections};
use index::Index;

/// The most passages that are given at once.
const LIMIT_MAX: usize = 50;
/// The longest question, in characters.
const QUERY_MAX: usize = 4_000;

/// `collection.search`: finds passages by their words.
#[derive(Clone, Debug)]
pub struct CollectionSearch {
    collections: Collections,
}

/// What `collection.search` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The collection, by its name in the server's configuration.
    collection: String,
    /// What is looked for, in words: a question will do. Up to 4000 characters.
    #[schemars(length(min = 1, max = 4000))]
    query: String,
    /// How many passages are given at most, 1 to 50.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 50))]
    limit: usize,
}

fn five() -> usize {
    5
}

/// What `collection.search` gives.
#[derive(Serialize)]
struct Output<'a> {
    collection: &'a str,
    /// The best first; none if no word of the query is in the collection.
    passages: Vec<Found<'a>>,
    index_state: IndexState<'a>,
}

#[derive(Serialize)]
struct Found<'a> {
    /// The title of the text that it stands in.
    title: &'a str,
    /// The passage as it stands there.
    text: &'a str,
    /// The file, below the collection's folder.
    source: &'a str,
    /// The headings that it stands under, the outermost first.
    headings: &'a [String],
    /// How well it fits, to be compared within this answer alone.
    score: f64,
}

/// What was searched.
#[derive(Serialize)]
struct IndexState<'a> {
    /// Changes whenever the texts do.
    generation: &'a str,
    files: usize,
    passages: usize,
}

impl CollectionSearch {
    /// A handler that searches these.
    #[must_use]
    pub fn new(collections: Collections) -> Self {
        Self { collections }
    }

    pub(crate) fn described() -> About {
        let kind = "collection.search".parse().expect("a constant name");
        let schema = Json::from_value(&schemars::schema_for!(Input)).unwrap_or_default();
        About { concurrency: 16, ..About::new(kind, "Finds passages of a collection of texts by their words.", schema) }
    }

    fn read(&self, input: &Json) -> Result<(Input, Arc<Index>), Problem> {
        let input: Input = input::read(input)?;
        let wrong = |detail: String, field| Err(Problem::new(ProblemType::INVALID_INPUT, detail).at(field));
        if !(1..=LIMIT_MAX).contains(&input.limit) {
            return wrong(format!("limit must be from 1 to {LIMIT_MAX}"), "/input/limit");
        }
        let length = input.query.chars().count();
        if input.query.trim().is_empty() {
            return wrong("say in words what is looked for".to_owned(), "/input/query");
        }
        if length > QUERY_MAX {
            return wrong(format!("it has {length} characters, and may have {QUERY_MAX}"), "/input/query");
        }
        let index = self.collections.get(&input.collection).ok_or_else(|| self.unknown(&input.collection))?;
        Ok((input, index))
    }

    fn unknown(&self, name: &str) -> Problem {
        let known = self.collections.names();
        let hint = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None if known.is_empty() => "the operator names collections as [collection.NAME]".to_owned(),
            None => format!("there are: {}", known.join(", ")),
        };
        let shown: String = name.chars().take(100).collect();
        let detail = format!("there is no collection {shown:?}; {hint}");
        Problem::new(ProblemType::INVALID_INPUT, detail).at("/input/collection")
    }
}

impl BlockingHandler for CollectionSearch {
    fn about(&self) -> About {
        Self::described()
    }

    fn check(&self, input: &Json) -> Result<(), Problem> {
        self.read(input).map(drop)
    }

    fn run(&self, _: &BlockingContext, input: Json) -> Result<Json, Failure> {
        let (Input { collection, query, limit }, index) = self.read(&input)?;
        let found = index.search(&query, limit).into_iter().map(|(passage, score)| Found {
            title: &passage.title,
            text: &passage.text,
            source: &passage.source,
            headings: &passage.headings,
            score: (score * 1e4).round() / 1e4,
        });
        let output = Output {
            collection: &collection,
            passages: found.collect(),
            index_state: IndexState {
                generation: &index.generation,
                files: index.files,
                passages: index.passages.len(),
            },
        };
        Json::from_value(&output).map_err(|error| Failure::transient(error.to_string()))
    }
}
