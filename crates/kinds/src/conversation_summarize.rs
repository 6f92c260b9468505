//! `conversation.summarize`: says what a conversation says up to a message in short, by a language model, and keeps it.

use async_trait::async_trait;
use raincheck_core::{ConversationId, Json, Lane, Message, Openings, Problem, ProblemType, Summary};
use raincheck_engine::{About, Context, Failure, Handler, MESSAGES_READ_MAX};
use raincheck_upstream::Upstreams;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::calling::ATTEMPTS;
use crate::{Llm, input};

/// What a model is told to do unless the input says otherwise.
const INSTRUCTIONS: &str = "Summarize the conversation so far for whoever goes on with it. Keep names, numbers, decisions \
                            and open questions. Say nothing else.";
/// How many tokens a summary may have unless the input says otherwise.
const MAX_TOKENS: u32 = 1_024;

/// Runs jobs that summarize conversations.
pub struct ConversationSummarize {
    chat: Llm,
    message: Llm,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    conversation: ConversationId,
    up_to: u32,
    model: String,
    #[serde(default)]
    upstream: Option<String>,
    #[serde(default)]
    by: By,
    #[serde(default)]
    instructions: Option<String>,
    #[serde(default)]
    max_tokens: Option<u32>,
}

/// The kind of call by which a model is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum By {
    #[default]
    #[serde(rename = "llm.chat")]
    Chat,
    #[serde(rename = "llm.message")]
    Message,
}

impl By {
    /// What the model said.
    fn text(self, result: &Value) -> Option<String> {
        let text = match self {
            Self::Chat => result.pointer("/choices/0/message/content")?.as_str()?.to_owned(),
            Self::Message => {
                let blocks = result.get("content")?.as_array()?;
                blocks.iter().filter_map(|block| block.get("text")?.as_str()).collect()
            }
        };
        Some(text).filter(|text| !text.trim().is_empty())
    }
}

impl Input {
    /// The call that asks for a summary of this text.
    fn call(&self, transcript: &str) -> Json {
        let instructions = self.instructions.as_deref().unwrap_or(INSTRUCTIONS);
        let asked = json!({ "role": "user", "content": transcript });
        let mut call = json!({ "model": self.model, "max_tokens": self.max_tokens.unwrap_or(MAX_TOKENS) });
        match self.by {
            By::Chat => call["messages"] = json!([{ "role": "system", "content": instructions }, asked]),
            By::Message => {
                call["system"] = json!(instructions);
                call["messages"] = json!([asked]);
            }
        }
        if let Some(upstream) = &self.upstream {
            call["upstream"] = json!(upstream);
        }
        call.into()
    }
}

impl ConversationSummarize {
    /// The handler, which asks models through these upstreams.
    #[must_use]
    pub fn new(upstreams: Upstreams) -> Self {
        Self { chat: Llm::chat(upstreams.clone()), message: Llm::message(upstreams) }
    }

    pub(crate) fn described() -> About {
        let schema = json!({
            "type": "object",
            "required": ["conversation", "up_to", "model"],
            "additionalProperties": false,
            "properties": {
                "conversation": { "type": "string", "pattern": "^conv_[0-9a-f]{32}$", "description": "Which conversation." },
                "up_to": { "type": "integer", "minimum": 1, "description": "The number of the last message to cover." },
                "model": { "type": "string", "description": "The model that is asked." },
                "upstream": { "type": "string", "description": "The upstream that is asked, if not the first with the model." },
                "by": { "enum": ["llm.chat", "llm.message"], "description": "The kind of call; llm.chat if left out." },
                "instructions": { "type": "string", "description": "What the model is told to do." },
                "max_tokens": { "type": "integer", "minimum": 1, "description": "How long the summary may be; 1024 if left out." },
            },
        });
        let kind = "conversation.summarize".parse().expect("a constant name");
        let summary = "Summarizes a conversation up to a message, once for each, by a language model";
        About { max_attempts: ATTEMPTS, ..About::new(kind, summary, schema.into()) }
    }

    fn llm(&self, by: By) -> &Llm {
        match by {
            By::Chat => &self.chat,
            By::Message => &self.message,
        }
    }
}

#[async_trait]
impl Handler for ConversationSummarize {
    fn about(&self) -> About {
        let call = self.chat.about().timeout.max(self.message.about().timeout);
        About { timeout: call, ..Self::described() }
    }

    async fn check(&self, input: &Json) -> Result<(), Problem> {
        let wish: Input = input::read(input)?;
        if wish.up_to == 0 {
            let detail = "messages are numbered from 1";
            return Err(Problem::new(ProblemType::INVALID_INPUT, detail).at("/input/up_to"));
        }
        self.llm(wish.by).check(&wish.call("")).await
    }

    fn lane(&self, input: &Json) -> Option<Lane> {
        let wish: Input = input.parse().ok()?;
        self.llm(wish.by).lane(&wish.call(""))
    }

    fn openings(&self) -> Openings {
        self.chat.openings()
    }

    async fn run(&self, context: Context, input: Json) -> Result<Json, Failure> {
        let wish: Input = input::read(&input)?;
        let before = context.summary_of(wish.conversation, wish.up_to).await?;
        let after = before.as_ref().map_or(0, |summary| summary.up_to);
        if let Some(known) = before.as_ref().filter(|summary| summary.up_to == wish.up_to) {
            // Somebody was faster: nothing is to be paid for twice.
            context.arrived();
            return Ok(known.content.clone());
        }
        let messages = context.messages_of(wish.conversation, after, wish.up_to).await?;
        if messages.last().is_none_or(|last| last.number != wish.up_to) {
            let detail = format!(
                "there are no messages from {} to {}, or more than {MESSAGES_READ_MAX} or 4 MiB of them",
                after + 1,
                wish.up_to
            );
            return Err(Problem::new(ProblemType::HANDLER_FAILED, detail).into());
        }
        let call = wish.call(&transcript(before.as_ref(), &messages));
        let result: Value = self.llm(wish.by).run(context.clone(), call).await?.parse().unwrap_or_default();
        let text = wish.by.text(&result).ok_or_else(|| {
            Failure::fatal(Problem::new(ProblemType::ANSWER_INCOMPLETE, "the model's answer has no text"))
        })?;
        let content = Json::from(json!({ "text": text }));
        context.summarize(wish.conversation, wish.up_to, content.clone())?;
        Ok(content)
    }
}

/// The messages as text, behind the summary of those before them.
fn transcript(before: Option<&Summary>, messages: &[Message]) -> String {
    let before = before.map(|summary| format!("Summary of what was said before: {}\n\n", plain(&summary.content)));
    let said = messages.iter().filter_map(|message| {
        let content = message.content.as_ref()?;
        Some(format!("{}: {}\n", message.role.as_str(), plain(content)))
    });
    before.into_iter().chain(said).collect()
}

/// The text of a message, or its JSON if it is no text.
fn plain(content: &Json) -> String {
    match content.parse::<Value>() {
        Ok(Value::String(text)) => text,
        Ok(Value::Object(fields)) if fields.len() == 1 => {
            fields.get("text").and_then(Value::as_str).map_or_else(|| content.as_str().to_owned(), str::to_owned)
        }
        _ => content.as_str().to_owned(),
    }
}
