use raincheck_core::{ConversationId, Json, Message, MessageState, Problem, ProblemType, Summary};
use raincheck_engine::{ConversationView, Failure};
use raincheck_recipes::{Conversation, Scope};
use serde_json::{Value, json};

use super::course::Course;

/// In which entries of a message that is an object its text may stand.
const TEXTS: [&str; 3] = ["text", "message", "answer"];

impl Course<'_> {
    /// What expressions may say of the conversation that the job belongs to; nothing if it belongs to none.
    ///
    /// # Errors
    /// If it cannot be read, or there is no such.
    pub(super) async fn conversation(&self) -> Result<Option<Value>, Failure> {
        let Some(of_recipe) = &self.recipe.conversation else { return Ok(None) };
        if let Some(view) = self.context.conversation().await? {
            return Ok(Some(in_turn(&view)));
        }
        let id = self.named(of_recipe)?;
        let up_to = self.up_to(of_recipe)?;
        let summary = self.context.summary_of(id, up_to.saturating_sub(1)).await?;
        let after = summary.as_ref().map_or(0, |summary| summary.up_to);
        let messages = self.context.messages_of(id, after, up_to).await?;
        let count = messages.last().map_or(after, |last| last.number);
        let facts = json!({
            "id": id,
            "summary": said(summary.as_ref()),
            "summed_up": after,
            "count": count,
            "history": history(&messages),
            "messages": whole(&messages),
        });
        Ok(Some(facts))
    }

    /// Says what the answer is, and what the conversation comes to so far, of a result.
    ///
    /// # Errors
    /// If that cannot be said.
    pub(super) fn speak(&self, scope: &Scope) -> Result<(), Failure> {
        let Some(of_recipe) = &self.recipe.conversation else { return Ok(()) };
        let broken = |error| self.broken("[conversation]", &error);
        if let Some(answer) = &of_recipe.answer
            && self.context.job().spec.turn.is_some()
        {
            self.context.reply(Json::from(answer.render(scope).map_err(broken)?))?;
        }
        let Some(summary) = &of_recipe.summary else { return Ok(()) };
        let content = Json::from(summary.render(scope).map_err(broken)?);
        match self.context.job().spec.turn {
            Some(turn) => self.context.summarize(turn.conversation, turn.number, content),
            None => self.context.summarize(self.named(of_recipe)?, self.up_to(of_recipe)?, content),
        }
    }

    fn named(&self, of_recipe: &Conversation) -> Result<ConversationId, Failure> {
        let id = of_recipe.id.render(&self.scope).map_err(|error| self.broken("[conversation]", &error))?;
        id.as_str().and_then(|id| id.parse().ok()).ok_or_else(|| {
            let detail = format!("there is no conversation {id}");
            Failure::fatal(Problem::new(ProblemType::NOT_FOUND, detail))
        })
    }

    /// The number of the last message that the recipe is to see.
    fn up_to(&self, of_recipe: &Conversation) -> Result<u32, Failure> {
        let Some(up_to) = &of_recipe.up_to else { return Ok(u32::MAX) };
        let up_to = up_to.render(&self.scope).map_err(|error| self.broken("[conversation]", &error))?;
        up_to.as_u64().and_then(|number| u32::try_from(number).ok()).ok_or_else(|| {
            let detail =
                format!("recipe {}, [conversation]: `up_to` is the number of a message, not {up_to}", self.recipe.name);
            Failure::fatal(Problem::new(ProblemType::HANDLER_FAILED, detail))
        })
    }
}

fn in_turn(view: &ConversationView) -> Value {
    let after = view.summary.as_ref().map_or(0, |summary| summary.up_to);
    let unsummed: Vec<Message> = view.before.iter().filter(|message| message.number > after).cloned().collect();
    json!({
        "id": view.id,
        "summary": said(view.summary.as_ref()),
        "summed_up": after,
        "turns": view.turns,
        "count": view.messages,
        "history": history(&unsummed),
        "messages": whole(&view.before),
    })
}

fn said(summary: Option<&Summary>) -> Option<Value> {
    summary.and_then(|summary| summary.content.parse().ok())
}

/// Messages as models are given them. What was not answered is left out with what it would have answered: a model would answer
/// it now.
fn history(messages: &[Message]) -> Vec<Value> {
    let said = |message: &Message| message.state == MessageState::Completed;
    let is_answered = |at: usize| messages.get(at + 1).is_none_or(&said);
    let whole = messages.iter().enumerate().filter(|(at, message)| said(message) && is_answered(*at));
    whole.map(|(_, message)| json!({ "role": message.role, "content": text(message) })).collect()
}

/// Messages with all that they hold, as they were said.
fn whole(messages: &[Message]) -> Vec<Value> {
    let shown = |message: &Message| {
        let content: Value = message.content.as_ref().and_then(|content| content.parse().ok()).unwrap_or_default();
        json!({ "role": message.role, "state": message.state, "content": content })
    };
    messages.iter().map(shown).collect()
}

fn text(message: &Message) -> String {
    let content: Value = message.content.as_ref().and_then(|content| content.parse().ok()).unwrap_or_default();
    let found = content.as_str().or_else(|| TEXTS.iter().find_map(|name| content.get(name)?.as_str()));
    found.map_or_else(|| content.to_string(), ToOwned::to_owned)
}
