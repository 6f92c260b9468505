use std::time::Duration;

use raincheck_core::{ConversationId, Json, Message, MessageState, Outcome, Problem, ProblemType, State};
use raincheck_engine::{Context, Failure, Submission, SubmitError, TurnWish};
use raincheck_store::{MESSAGE_BYTES_MAX, MessagesRead, Order};
use serde_json::json;
use tokio::time::sleep;

use crate::support::{Fixture, Work, engine};

/// Answers with what it was told of the conversation, in short.
async fn tell(context: Context, input: Json) -> Result<Json, Failure> {
    if input.as_str() == "\"fail\"" {
        return Err(Failure::fatal(Problem::new(ProblemType::HANDLER_FAILED, "no")));
    }
    let conversation = context.conversation_with(3).await?.expect("the job has a turn");
    let texts: Vec<String> = conversation.before.iter().map(short).collect();
    let summary = conversation.summary.map(|summary| summary.content);
    let (turns, messages) = (conversation.turns, conversation.messages);
    if messages % 4 == 0 {
        context.summarize(conversation.id, messages - 2, json!(format!("up to {}", messages - 2)).into())?;
    }
    context.reply(json!({"before": texts, "summary": summary, "turns": turns, "messages": messages}).into())?;
    Ok(short(&conversation.message).parse::<u64>().map_or(Json::null(), |number| json!(number).into()))
}

fn short(message: &Message) -> String {
    match &message.content {
        Some(content) if message.role == raincheck_core::Role::User => content.as_str().to_owned(),
        Some(_) => "answered".to_owned(),
        None => format!("{:?}", message.state),
    }
}

fn turn(conversation: Option<ConversationId>, content: u64) -> impl FnOnce(&mut Submission) {
    move |job| job.turn = Some(TurnWish { conversation, content: json!(content).into(), metadata: None })
}

async fn say(fixture: &Fixture, conversation: Option<ConversationId>, content: u64) -> ConversationId {
    let job = fixture.submit(turn(conversation, content)).await;
    fixture.end(job).await.spec.turn.expect("it has a turn").conversation
}

async fn messages(fixture: &Fixture, conversation: ConversationId) -> Vec<Message> {
    let read = MessagesRead { conversation, tenant: None, order: Order::OldestFirst, cursor: None, max: 99 };
    fixture.store.messages(read).await.unwrap().expect("it is there").messages
}

async fn refusal(fixture: &Fixture, change: impl FnOnce(&mut Submission)) -> Problem {
    let mut submission = Submission::new("test".parse().unwrap(), Json::null());
    change(&mut submission);
    match fixture.engine.submit(vec![submission]).await {
        Err((_, SubmitError::Refused(problem))) => problem,
        Ok(mut submitted) => match submitted.remove(0) {
            Err(SubmitError::Refused(problem)) => problem,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_given_the_conversation_so_far_and_answers_in_it() {
    let fixture = engine(Work(tell)).await;
    let id = say(&fixture, None, 1).await;
    say(&fixture, Some(id), 2).await;
    say(&fixture, Some(id), 3).await;
    let all = messages(&fixture, id).await;
    let answers: Vec<serde_json::Value> =
        all.iter().skip(1).step_by(2).map(|answer| answer.content.as_ref().unwrap().parse().unwrap()).collect();
    assert_eq!(answers[0], json!({"before": [], "summary": null, "turns": 1, "messages": 2}));
    assert_eq!(answers[1], json!({"before": ["1", "answered"], "summary": null, "turns": 2, "messages": 4}));
    let third = json!({"before": ["answered", "2", "answered"], "summary": "up to 2", "turns": 3, "messages": 6});
    assert_eq!(answers[2], third);
    assert!(all.iter().all(|message| message.state == MessageState::Completed));
}

#[tokio::test(start_paused = true)]
async fn two_turns_at_once_come_one_after_the_other() {
    let work = |context: Context, _| async move {
        sleep(Duration::from_secs(3)).await;
        let before = context.conversation().await?.map_or(0, |conversation| conversation.before.len());
        Ok(json!(before).into())
    };
    let fixture = engine(Work(work)).await;
    let first = fixture.submit(turn(None, 1)).await;
    let id = fixture.engine.get(first, None).await.unwrap().unwrap().spec.turn.unwrap().conversation;
    let second = fixture.submit(turn(Some(id), 2)).await;
    let third = fixture.submit(turn(Some(id), 3)).await;
    for (job, before) in [(first, 0), (second, 2), (third, 4)] {
        assert_eq!(fixture.end(job).await.outcome, Some(Outcome::Completed(json!(before).into())));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_answer_says_so_and_the_conversation_goes_on() {
    let fixture = engine(Work(tell)).await;
    let id = say(&fixture, None, 1).await;
    let fails = fixture.submit(|job| {
        turn(Some(id), 2)(job);
        job.input = json!("fail").into();
    });
    fixture.end(fails.await).await;
    say(&fixture, Some(id), 3).await;
    let all = messages(&fixture, id).await;
    assert_eq!(
        (all[3].state, all[3].error.as_ref().map(|error| error.detail.as_str())),
        (MessageState::Failed, Some("no"))
    );
    let last: serde_json::Value = all[5].content.as_ref().unwrap().parse().unwrap();
    assert_eq!(last["before"], json!(["answered", "2", "Failed"]));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_conversation_stops_its_job() {
    let work = |context: Context, _| async move {
        context.cancelled().await;
        Err(Failure::cancelled())
    };
    let fixture = engine(Work(work)).await;
    let job = fixture.submit(turn(None, 1)).await;
    let id = fixture.engine.get(job, None).await.unwrap().unwrap().spec.turn.unwrap().conversation;
    sleep(Duration::from_secs(1)).await;
    fixture.store.delete_conversation(id, None, fixture.engine.clock().now()).await.unwrap();
    assert_eq!(fixture.end(job).await.life.state, State::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused() {
    let fixture = engine(Work(tell)).await;
    let id = say(&fixture, None, 1).await;
    let unknown = ConversationId::new(id.key(), id.random() + 1);
    assert!(refusal(&fixture, turn(Some(unknown), 1)).await.is(ProblemType::NOT_FOUND));
    let foreign = |job: &mut Submission| {
        turn(Some(id), 1)(job);
        job.tenant = "other".parse().unwrap();
    };
    assert!(refusal(&fixture, foreign).await.is(ProblemType::NOT_FOUND));
    let keyed = |job: &mut Submission| {
        turn(Some(id), 1)(job);
        job.concurrency_key = Some("k".parse().unwrap());
    };
    assert_eq!(refusal(&fixture, keyed).await.pointer.as_deref(), Some("/concurrency_key"));
    let large = |job: &mut Submission| {
        let content = json!("x".repeat(MESSAGE_BYTES_MAX)).into();
        job.turn = Some(TurnWish { conversation: Some(id), content, metadata: None });
    };
    assert!(refusal(&fixture, large).await.is(ProblemType::BODY_TOO_LARGE));
    let job = messages(&fixture, id).await[1].job.unwrap();
    let again = fixture.engine.retry(job, None, None).await;
    assert!(matches!(again, Err(SubmitError::Refused(_))), "{again:?}");
    assert_eq!(messages(&fixture, id).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_job_without_a_turn_has_nobody_to_answer() {
    let work = |context: Context, _| async move {
        assert_eq!(context.conversation().await?, None);
        context.reply(json!(1).into())?;
        Ok(Json::null())
    };
    let fixture = engine(Work(work)).await;
    let job = fixture.submit(|job| job.max_attempts = Some(1)).await;
    assert_eq!(fixture.end(job).await.life.state, State::Failed);
}
