//! Conversations: messages in order, turns that are stored with their jobs and settled with their ends.

use std::time::Duration;

use raincheck_core::{
    ConversationId, Ending, Job, JobId, Json, Message, MessageState, Retry, Role, Spec, State, Tenant, Turn,
};
use serde_json::json;

use super::Backend;
use super::world::{LEASE, START, World, completed, failed, keyed, new, problem, spec};
use crate::{
    Acceptance, Besides, ConversationRefusal, Limits, MessagesRead, NewConversation, NewJob, NewMessage, NewSummary,
    NewTurn, Order,
};

fn said(number: u64) -> Json {
    json!({"text": format!("Grüße {number}")}).into()
}

fn turn(conversation: Option<ConversationId>, number: u64) -> NewJob {
    let turn =
        NewTurn { conversation, content: said(number), metadata: Some(json!({"n": number}).into()), random: [1, 2, 3] };
    NewJob { turn: Some(turn), ..new(spec()) }
}

fn tenant(name: &str) -> Tenant {
    name.parse().unwrap()
}

fn read(conversation: ConversationId) -> MessagesRead {
    MessagesRead { conversation, tenant: None, order: Order::OldestFirst, cursor: None, max: 1_000 }
}

async fn begin(world: &World) -> ConversationId {
    let new = NewConversation { tenant: spec().tenant, metadata: Some(json!({"title": "x"}).into()), random: 7 };
    world.store.create_conversation(new, world.now).await.unwrap().unwrap().id
}

async fn messages(world: &World, id: ConversationId) -> Vec<Message> {
    world.store.messages(read(id)).await.unwrap().expect("the conversation is there").messages
}

async fn submit(world: &World, job: NewJob) -> (Job, Turn) {
    match world.accept(job).await {
        Acceptance::New(job) => (job.clone(), job.spec.turn.expect("the job has a turn")),
        other => panic!("not accepted: {other:?}"),
    }
}

async fn append(world: &World, conversation: ConversationId, owner: &str) -> Result<Message, ConversationRefusal> {
    let tenant = Some(tenant(owner));
    let new = NewMessage { conversation, tenant, role: Role::System, content: said(0), metadata: None, random: 5 };
    world.store.append_message(new, world.now).await.unwrap()
}

/// The user's message, the answer to come and the job are there together.
pub async fn a_turn_is_stored_with_its_job(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let id = begin(&world).await;
    append(&world, id, "default").await.unwrap();
    let (job, of) = submit(&world, turn(Some(id), 1)).await;
    assert_eq!((of.conversation, of.number, of.turn), (id, 2, 1));
    assert_eq!(job.spec.concurrency_key, Some(id.concurrency_key()));
    assert_eq!(world.job(job.id).await, job);
    let all = messages(&world, id).await;
    assert_eq!(all.iter().map(|message| message.number).collect::<Vec<_>>(), [1, 2, 3]);
    let [_, question, answer] = &all[..] else { panic!("{all:?}") };
    let metadata = Some(json!({"n": 1}).into());
    assert_eq!((question.id, question.role, &question.content), (of.message, Role::User, &Some(said(1))));
    assert_eq!((question.job, question.state, &question.metadata), (Some(job.id), MessageState::Completed, &metadata));
    assert_eq!((answer.id, answer.role, answer.state), (of.answer, Role::Assistant, MessageState::Processing));
    assert_eq!((answer.job, &answer.content, answer.finished_at), (Some(job.id), &None, None));
    let found = world.store.conversation(id, None).await.unwrap().unwrap();
    assert_eq!((found.messages, found.turns, found.metadata), (3, 1, Some(json!({"title": "x"}).into())));
    let running = world.start().await;
    assert_eq!(running.spec.turn, Some(of));
}

/// Without a conversation a turn begins one.
pub async fn a_turn_may_begin_its_conversation(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let (_, of) = submit(&world, turn(None, 1)).await;
    let found = world.store.conversation(of.conversation, Some(&spec().tenant)).await.unwrap().unwrap();
    assert_eq!((found.tenant, found.messages, found.turns, found.created_at), (spec().tenant, 2, 1, START));
    let (_, next) = submit(&world, turn(Some(of.conversation), 2)).await;
    assert_eq!((next.number, next.turn), (3, 2));
    let (_, other) = submit(&world, turn(None, 1)).await;
    assert_ne!(other.conversation, of.conversation);
}

/// A repeated request says nothing twice.
pub async fn a_repeated_turn_is_stored_once(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let wish = || NewJob { turn: turn(None, 1).turn, ..keyed(spec(), 7, 1) };
    let (job, of) = submit(&world, wish()).await;
    let Acceptance::Existing(again) = world.accept(wish()).await else { panic!("not recognised") };
    assert_eq!((again.id, again.spec.turn), (job.id, Some(of)));
    assert_eq!(messages(&world, of.conversation).await.len(), 2);
    assert_eq!(world.store.conversations(None, None, 9).await.unwrap().conversations.len(), 1);
}

/// Unknown ones and those of other tenants are the same to whoever asks.
pub async fn a_turn_of_an_unknown_or_foreign_conversation_is_refused(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let id = begin(&world).await;
    let unknown = Acceptance::NoTurn(ConversationRefusal::Unknown);
    let foreign = NewJob { turn: turn(Some(id), 1).turn, ..new(Spec { tenant: tenant("other"), ..spec() }) };
    assert_eq!(world.accept(foreign).await, unknown);
    let guessed = ConversationId::new(id.key(), id.random() + 1);
    assert_eq!(world.accept(turn(Some(guessed), 1)).await, unknown);
    assert_eq!(append(&world, id, "other").await, Err(ConversationRefusal::Unknown));
    assert_eq!(world.store.conversation(id, Some(&tenant("other"))).await.unwrap(), None);
    assert_eq!(world.store.messages(MessagesRead { tenant: Some(tenant("other")), ..read(id) }).await.unwrap(), None);
    assert_eq!(world.store.messages(read(guessed)).await.unwrap(), None);
    assert!(!world.store.delete_conversation(id, Some(&tenant("other")), world.now).await.unwrap());
    assert_eq!((world.store.waiting(), messages(&world, id).await.len()), (0, 0));
}

/// Limits of messages and conversations.
pub async fn conversations_have_limits(backend: &dyn Backend) {
    let limits = Limits { conversations_per_tenant: 2, messages_per_conversation: 3, ..Limits::default() };
    let world = World::with(backend, limits).await;
    let first = begin(&world).await;
    let (_, of) = submit(&world, turn(None, 1)).await;
    assert_eq!(world.accept(turn(None, 1)).await, Acceptance::NoTurn(ConversationRefusal::TooMany(2)));
    let wish = NewConversation { tenant: spec().tenant, metadata: None, random: 7 };
    let refused = world.store.create_conversation(wish.clone(), world.now).await.unwrap();
    assert_eq!(refused, Err(ConversationRefusal::TooMany(2)));
    let other = NewConversation { tenant: tenant("other"), ..wish.clone() };
    assert!(world.store.create_conversation(other, world.now).await.unwrap().is_ok());
    let full = Acceptance::NoTurn(ConversationRefusal::Full(3));
    assert_eq!(world.accept(turn(Some(of.conversation), 1)).await, full);
    append(&world, of.conversation, "default").await.unwrap();
    assert_eq!(append(&world, of.conversation, "default").await, Err(ConversationRefusal::Full(3)));
    world.store.delete_conversation(first, None, world.now).await.unwrap();
    assert!(world.store.create_conversation(wish, world.now).await.unwrap().is_ok());
}

/// One query at a time, in order.
pub async fn turns_of_a_conversation_come_one_after_the_other(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let (first, of) = submit(&world, turn(None, 1)).await;
    let (second, _) = submit(&world, turn(Some(of.conversation), 2)).await;
    let (other, _) = submit(&world, turn(None, 3)).await;
    let running: Vec<JobId> = world.claim(9).await.iter().map(|claimed| claimed.job.id).collect();
    assert_eq!(running, [first.id, other.id]);
    world.finish(&world.job(first.id).await, completed()).await.unwrap();
    assert_eq!(world.start().await.id, second.id);
}

/// However its job ends: an answer is never processing for ever.
pub async fn an_answer_is_settled_with_the_end_of_its_job(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let settled = async |world: &World, of: Turn| messages(world, of.conversation).await.pop().unwrap();
    // With its result, or with what it says instead.
    for reply in [None, Some(said(9))] {
        let (job, of) = submit(&world, turn(None, 1)).await;
        let running = world.start().await;
        world.pass(Duration::from_secs(1));
        let besides = Besides { reply: reply.clone(), ..Besides::default() };
        world.finish_besides(&running, completed(), besides).await.unwrap();
        let answer = settled(&world, of).await;
        let result = reply.unwrap_or_else(|| json!({"echo": true}).into());
        assert_eq!((answer.state, answer.content, answer.job), (MessageState::Completed, Some(result), Some(job.id)));
        assert_eq!(answer.finished_at, Some(world.now));
        let found = world.store.conversation(of.conversation, None).await.unwrap().unwrap();
        assert_eq!((found.updated_at, found.messages), (world.now, 2));
    }
    // Failed; and what it wanted to say is not said.
    let (_, of) = submit(&world, turn(None, 1)).await;
    let besides = Besides { reply: Some(said(9)), ..Besides::default() };
    world.finish_besides(&world.start().await, failed(Retry::Never), besides).await.unwrap();
    let answer = settled(&world, of).await;
    assert_eq!((answer.state, answer.error, answer.content), (MessageState::Failed, Some(problem()), None));
    // Between attempts it is still to come.
    let (job, of) = submit(&world, turn(None, 1)).await;
    world.finish(&world.start().await, failed(Retry::Backoff)).await.unwrap();
    assert_eq!(settled(&world, of).await.state, MessageState::Processing);
    world.cancel(job.id, None).await;
    assert_eq!(settled(&world, of).await.state, MessageState::Cancelled);
    // Waiting and running past the deadline.
    let soon = || NewJob { spec: Spec { deadline: Some(world.now.after(LEASE)), ..spec() }.into(), ..turn(None, 1) };
    let (_, of) = submit(&world, soon()).await;
    world.pass(LEASE);
    world.sweep().await;
    assert_eq!(settled(&world, of).await.state, MessageState::Expired);
    // Its workers die.
    let (_, of) = submit(&world, turn(None, 1)).await;
    for _ in 0..3 {
        world.start().await;
        world.pass(LEASE);
        world.sweep().await;
    }
    assert_eq!(settled(&world, of).await.state, MessageState::Failed);
}

/// What a stale attempt says is not said.
pub async fn a_stale_attempt_settles_no_answer(backend: &dyn Backend) {
    let mut world = World::new(backend).await;
    let (_, of) = submit(&world, turn(None, 1)).await;
    let stale = world.start().await;
    world.pass(LEASE);
    world.sweep().await;
    let running = world.start().await;
    let besides = |number| Besides { reply: Some(said(number)), ..Besides::default() };
    assert!(world.finish_besides(&stale, completed(), besides(1)).await.is_err());
    assert_eq!(messages(&world, of.conversation).await[1].state, MessageState::Processing);
    world.finish_besides(&running, completed(), besides(2)).await.unwrap();
    assert_eq!(messages(&world, of.conversation).await[1].content, Some(said(2)));
}

/// Its jobs are cancelled, and nothing of it comes back.
pub async fn a_deleted_conversation_stays_deleted(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let (first, of) = submit(&world, turn(None, 1)).await;
    let (second, _) = submit(&world, turn(Some(of.conversation), 2)).await;
    let running = world.start().await;
    assert!(world.store.delete_conversation(of.conversation, None, world.now).await.unwrap());
    assert!(!world.store.delete_conversation(of.conversation, None, world.now).await.unwrap());
    assert_eq!(world.state(second.id).await, State::Cancelled);
    let asked = world.job(first.id).await;
    assert!(asked.life.cancel_requested && asked.life.state == State::Running);
    let summaries = vec![NewSummary { conversation: of.conversation, up_to: 2, content: said(1) }];
    let besides = Besides { reply: Some(said(9)), summaries, ..Besides::default() };
    world.finish_besides(&running, completed(), besides).await.unwrap();
    assert_eq!(world.store.conversation(of.conversation, None).await.unwrap(), None);
    assert_eq!(world.store.messages(read(of.conversation)).await.unwrap(), None);
    assert_eq!(world.store.summary(of.conversation, None, 99).await.unwrap(), None);
    let gone = Acceptance::NoTurn(ConversationRefusal::Unknown);
    assert_eq!(world.accept(turn(Some(of.conversation), 3)).await, gone);
}

/// A conversation outlives the jobs that answered in it.
pub async fn messages_outlive_their_jobs(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let (job, of) = submit(&world, turn(None, 1)).await;
    world.finish(&world.start().await, completed()).await.unwrap();
    world.store.delete(job.id, None).await.unwrap().unwrap().unwrap();
    let all = messages(&world, of.conversation).await;
    assert_eq!((all.len(), all[1].state, all[1].job), (2, MessageState::Completed, Some(job.id)));
}

/// One for each window, and the first counts.
pub async fn a_summary_is_kept_once(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let id = begin(&world).await;
    for _ in 0..5 {
        append(&world, id, "default").await.unwrap();
    }
    let finish = async |up_to: &[u32], number: u64, ending: Ending, owner: &str| {
        world.submit(Spec { tenant: tenant(owner), ..spec() }).await;
        let one = |up_to: &u32| NewSummary { conversation: id, up_to: *up_to, content: said(number) };
        let besides = Besides { summaries: up_to.iter().map(one).collect(), ..Besides::default() };
        world.finish_besides(&world.start().await, ending, besides).await.unwrap();
    };
    finish(&[2], 1, completed(), "default").await;
    finish(&[2, 4], 2, completed(), "default").await;
    finish(&[5], 3, failed(Retry::Never), "default").await;
    finish(&[5], 4, completed(), "other").await;
    finish(&[0, 6], 5, completed(), "default").await;
    let newest = async |up_to: u32| world.store.summary(id, None, up_to).await.unwrap();
    assert_eq!(newest(1).await, None);
    assert_eq!(newest(3).await.map(|summary| (summary.up_to, summary.content)), Some((2, said(1))));
    let last = newest(u32::MAX).await.unwrap();
    assert_eq!((last.up_to, last.content, last.created_at), (4, said(2), world.now));
    assert_eq!(world.store.summary(id, Some(&tenant("other")), 9).await.unwrap(), None);
}

/// In both directions, page by page, without gaps or repeats.
pub async fn messages_are_read_page_by_page(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let id = begin(&world).await;
    let empty = world.store.messages(read(id)).await.unwrap().unwrap();
    assert_eq!((empty.messages.len(), empty.next), (0, None));
    for _ in 0..7 {
        append(&world, id, "default").await.unwrap();
    }
    for (order, expected) in [(Order::OldestFirst, [1, 2, 3, 4, 5, 6, 7]), (Order::NewestFirst, [7, 6, 5, 4, 3, 2, 1])]
    {
        let (mut cursor, mut numbers, mut pages) = (None, Vec::new(), 0);
        loop {
            let wanted = MessagesRead { order, cursor, max: 3, ..read(id) };
            let page = world.store.messages(wanted).await.unwrap().unwrap();
            numbers.extend(page.messages.iter().map(|message| message.number));
            (cursor, pages) = (page.next, pages + 1);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!((numbers, pages), (expected.to_vec(), 3));
    }
    let beyond = MessagesRead { cursor: Some(u32::MAX), ..read(id) };
    assert_eq!(world.store.messages(beyond).await.unwrap().unwrap().messages, []);
}

/// A page holds about a mebibyte, however many messages are wanted.
pub async fn a_page_of_messages_is_bounded(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let id = begin(&world).await;
    for _ in 0..4 {
        let content = Json::from(json!("x".repeat(600 << 10)));
        let new = NewMessage { conversation: id, tenant: None, role: Role::User, content, metadata: None, random: 5 };
        world.store.append_message(new, world.now).await.unwrap().unwrap();
    }
    let page = world.store.messages(read(id)).await.unwrap().unwrap();
    assert_eq!((page.messages.len(), page.next), (2, Some(2)));
}

/// Newest first, each tenant its own.
pub async fn conversations_are_listed_page_by_page(backend: &dyn Backend) {
    let world = World::new(backend).await;
    let mut ids = Vec::new();
    for owner in ["a", "b", "a", "a"] {
        let new = NewConversation { tenant: tenant(owner), metadata: None, random: 7 };
        ids.push(world.store.create_conversation(new, world.now).await.unwrap().unwrap().id);
    }
    let a = tenant("a");
    let first = world.store.conversations(Some(&a), None, 2).await.unwrap();
    assert_eq!(first.conversations.iter().map(|of| of.id).collect::<Vec<_>>(), [ids[3], ids[2]]);
    let second = world.store.conversations(Some(&a), first.next, 2).await.unwrap();
    assert_eq!(second.conversations.iter().map(|of| of.id).collect::<Vec<_>>(), [ids[0]]);
    assert_eq!(second.next, None);
    assert_eq!(world.store.conversations(None, None, 9).await.unwrap().conversations.len(), 4);
}

/// Messages, what is awaited, summaries; and ids go on growing.
pub async fn conversations_are_there_again_after_a_restart(backend: &dyn Backend) {
    if !backend.is_durable() {
        return;
    }
    let world = World::new(backend).await;
    let (_, of) = submit(&world, turn(None, 1)).await;
    let (second, _) = submit(&world, turn(Some(of.conversation), 2)).await;
    let running = world.start().await;
    let newest = begin(&world).await;
    let before = messages(&world, of.conversation).await;
    let world = world.reopened(backend).await;
    assert_eq!(messages(&world, of.conversation).await, before);
    assert!(world.claim(9).await.is_empty());
    let summaries = vec![NewSummary { conversation: of.conversation, up_to: 2, content: said(1) }];
    let besides = Besides { reply: Some(said(9)), summaries, ..Besides::default() };
    world.finish_besides(&running, completed(), besides).await.unwrap();
    let world = world.reopened(backend).await;
    assert_eq!(messages(&world, of.conversation).await[1].content, Some(said(9)));
    assert_eq!(world.store.summary(of.conversation, None, 9).await.unwrap().unwrap().up_to, 2);
    assert!(begin(&world).await > newest);
    assert_eq!(world.start().await.id, second.id);
}
