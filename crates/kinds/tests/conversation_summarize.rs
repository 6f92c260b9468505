//! Summaries of conversations, by a simulated provider.

use raincheck_core::{ConversationId, Outcome, ProblemType, Role, Tenant};
use raincheck_store::{NewConversation, NewMessage};
use serde_json::json;

use crate::llm::{Place, quick};

async fn conversation(place: &Place, messages: u64) -> ConversationId {
    let (store, now) = (place.engine.store(), place.engine.clock().now());
    let new = NewConversation { tenant: Tenant::default(), metadata: None, random: 7 };
    let conversation = store.create_conversation(new, now).await.unwrap().unwrap().id;
    for number in 1..=messages {
        let content = json!({"text": format!("Saying {number}")}).into();
        let new = NewMessage { conversation, tenant: None, role: Role::User, content, metadata: None, random: number };
        store.append_message(new, now).await.unwrap().unwrap();
    }
    conversation
}

#[tokio::test]
async fn a_window_is_summarized_once_and_the_next_builds_on_it() {
    let place = Place::new(quick(), |_| ()).await;
    let id = conversation(&place, 6).await;
    for (by, model, up_to) in
        [("llm.chat", "gpt-5", 4), ("llm.chat", "gpt-5", 4), ("llm.message", "claude-sonnet-4-5", 6)]
    {
        let input = json!({"conversation": id, "up_to": up_to, "model": model, "by": by});
        let job = place.run("conversation.summarize", input).await;
        let Some(Outcome::Completed(result)) = &job.outcome else { panic!("{:?}", job.outcome) };
        let kept = place.engine.store().summary(id, None, up_to).await.unwrap().unwrap();
        assert_eq!((kept.up_to, &kept.content), (up_to, result));
    }
    let asked: Vec<String> = place.simulator.requests(0).iter().map(|request| format!("{request:?}")).collect();
    assert_eq!(asked.len(), 2, "a summary that is there is not paid for again");
    assert!(asked[0].contains("Saying 4") && !asked[0].contains("Saying 5"), "{}", asked[0]);
    assert!(asked[1].contains("Summary of what was said before") && !asked[1].contains("Saying 4"), "{}", asked[1]);
}

#[tokio::test]
async fn what_cannot_be_summarized_is_told() {
    let place = Place::new(quick(), |_| ()).await;
    let id = conversation(&place, 2).await;
    let of =
        |up_to: u32, model: &str| json!({"conversation": id, "up_to": up_to, "model": model, "upstream": "openai"});
    let job = place.run("conversation.summarize", of(3, "gpt-5")).await;
    assert!(
        matches!(&job.outcome, Some(Outcome::Failed(problem)) if problem.detail.contains("from 1 to 3")),
        "{job:?}"
    );
    let refused = crate::support::submit(&place.engine, "conversation.summarize", of(0, "gpt-5")).await.unwrap_err();
    assert_eq!((refused.is(ProblemType::INVALID_INPUT), refused.pointer.as_deref()), (true, Some("/input/up_to")));
    assert_eq!(place.simulator.requests(0).len(), 0);
}
