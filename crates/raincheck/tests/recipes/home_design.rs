//! The home designer (rows D1-D4, D6), as its front end calls it: Claude and FAL are simulated, and everything may go wrong.

mod crashes;
mod inputs;
mod troubles;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::proof::within;
use crate::s3::{BUCKET, KEY, KEY_ID, S3};
use crate::support::{Place, Reply, Server, delete, get_bytes, post, request};

const CHAT: &str = "/home-design/chat";
const FORM: &[(&str, &str)] = &[("content-type", "multipart/form-data; boundary=X")];
const TRANSFORM: &str = "Transform my living room into a library";
const QUEUED: &str = "I'm generating your design transformation now...";

/// The recipe as it lies in the tree.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../recipes/home-design")
}

/// The recipe's server and a simulator of both of its providers.
struct Home {
    place: Place,
    simulator: Server,
    server: Server,
    args: Vec<String>,
}

impl Home {
    fn new() -> Self {
        Self::with(r#"{"behaviour": {"call_ms": {"constant": 100}}}"#, "", |recipe| recipe)
    }

    /// `more` is added to the server's configuration, `change` made to the text of the recipe.
    fn with(simulated: &str, more: &str, change: impl FnOnce(String) -> String) -> Self {
        let place = Place::new();
        place.file("sim.json", simulated);
        let simulator = Server::simulator(&place, &["--config", "sim.json"]);
        let config = std::fs::read_to_string(folder().join("raincheck.toml")).expect("the configuration can be read");
        let config = config.replace("http://127.0.0.1:7247", &simulator.url());
        place.file("raincheck.toml", &format!("{config}\n{more}"));
        let recipe = std::fs::read_to_string(folder().join("chat.toml")).expect("the recipe can be read");
        place.file("chat.toml", &change(recipe));
        let args: Vec<String> = ["--config", "raincheck.toml", "--recipes", "chat.toml"].map(ToOwned::to_owned).into();
        let server = serve(&place, &args);
        Self { place, simulator, server, args }
    }

    /// Kills the server (SIGKILL) and starts it again.
    fn killed(self) -> Self {
        self.server.kill();
        Self { server: serve(&self.place, &self.args), ..self }
    }

    fn say(&self, body: &Value) -> Value {
        let reply = post(self.server.address, CHAT, &body.to_string());
        assert_eq!(reply.status, 202, "{reply:?}");
        reply.json()
    }

    /// Asks for a transformation of a picture that lies at the simulator's.
    fn ask(&self) -> Value {
        self.say(&json!({ "message": TRANSFORM, "image_url": self.picture() }))
    }

    fn picture(&self) -> String {
        format!("{}/fal/files/0000000000000abc-64x48.png", self.simulator.url())
    }

    fn send(&self, parts: &[(&str, &str)]) -> Reply {
        request(self.server.address, "POST", CHAT, FORM, &form(parts))
    }

    /// What the status page of a turn says when it has ended.
    fn ended(&self, turn: &Value) -> Value {
        let told = self.server.get(&format!("/home-design/jobs/{}?wait=30", job(turn))).json();
        assert_eq!(told["processing"], false, "it has not ended: {told}");
        told
    }

    fn conversation(&self, turn: &Value) -> Value {
        let id = turn["conversation_id"].as_str().expect("a conversation");
        self.server.get(&format!("/home-design/conversations/{id}")).json()
    }

    fn fault(&self, rule: &Value) {
        let rules = json!({ "rules": [rule] }).to_string();
        assert_eq!(post(self.simulator.address, "/sim/faults", &rules).status, 200);
    }

    /// What the simulated providers would have billed: calls of Claude, and pictures.
    fn paid(&self) -> (u64, u64) {
        let ledger = self.simulator.get("/sim/ledger").json();
        let of = |dialect: &str| ledger["dialects"][dialect]["executions"].as_u64().unwrap_or(0);
        (of("anthropic"), of("fal"))
    }
}

fn serve(place: &Place, args: &[String]) -> Server {
    Server::start(place, &args.iter().map(String::as_str).collect::<Vec<_>>())
}

fn job(turn: &Value) -> &str {
    turn["job_id"].as_str().expect("a job")
}

fn form(parts: &[(&str, &str)]) -> String {
    let part = |(name, content): &(&str, &str)| {
        let filename = if *name == "image" { "; filename=\"room.webp\"" } else { "" };
        format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"{filename}\r\n\r\n{content}\r\n")
    };
    parts.iter().map(part).collect::<String>() + "--X--\r\n"
}

/// The beginning of a WebP of so many pixels to a side, which is UTF-8 as well.
fn webp(side: u32) -> String {
    let [low, middle, high, _] = (side - 1).to_le_bytes();
    let mut bytes = b"RIFF\x32\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0".to_vec();
    bytes.extend([low, middle, high, low, middle, high]);
    bytes.resize(bytes.len() + 28, b'.');
    String::from_utf8(bytes).expect("bytes below 128")
}

#[expect(clippy::disallowed_methods, reason = "what is told is how long it really took")]
fn timed<T>(act: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let done = act();
    (done, begun.elapsed())
}

#[test]
fn a_transformation_is_queued_at_once_and_its_picture_is_ours() {
    let home = Home::new();
    let (accepted, took) = timed(|| home.send(&[("message", TRANSFORM), ("image", &webp(64))]));
    let turn = accepted.json();
    assert_eq!(accepted.status, 202, "{accepted:?}");
    assert!(took < Duration::from_millis(500), "accepting took {took:?}");
    let told = ["type", "processing", "message", "image_url", "options"].map(|name| turn[name].clone());
    assert_eq!(told, [json!("design_generation_queued"), json!(true), json!(QUEUED), Value::Null, Value::Null]);
    assert!(turn["conversation_id"].as_str().is_some_and(|id| id.starts_with("conv_")), "{turn}");
    assert_eq!(accepted.headers["location"], format!("/home-design/jobs/{}", job(&turn)));
    let talk = home.conversation(&turn);
    assert_eq!((&talk["processing"], &talk["image_url"]), (&json!(true), &Value::Null), "{talk}");

    let told = home.ended(&turn);
    assert_eq!((&told["type"], &told["conversation_id"]), (&json!("design_generation"), &turn["conversation_id"]));
    let talk = home.conversation(&turn);
    assert_eq!((&talk["processing"], &talk["image_url"]), (&json!(false), &told["image_url"]), "{talk}");
    assert_eq!(talk["messages"][1]["content"], told["message"]);
    let link = told["image_url"].as_str().expect("a link");
    assert!(get_bytes(home.server.address, link).starts_with(b"\x89PNG"), "{link}");
    let shown = request(home.server.address, "HEAD", link, &[], "");
    assert_eq!((shown.status, &*shown.headers["content-type"]), (200, "image/png"));
    // FAL was given the picture itself, for it could not have fetched it here.
    let asked = home.simulator.get("/sim/requests").json();
    let asked = asked["requests"]
        .as_array()
        .unwrap()
        .iter()
        .find(|asked| asked["path"] == "/fal/fal-ai/flux/dev/image-to-image");
    assert!(
        asked.is_some_and(|asked| asked["body"].as_str().unwrap().contains("data:image/webp;base64,UklGR")),
        "{asked:?}"
    );
    assert_eq!(home.paid(), (1, 1));
}

#[test]
fn a_question_is_answered_with_choices_and_within_the_request_if_that_is_wished() {
    let home = Home::new();
    let question = json!({ "message": "Which colour suits a room to the north?" });
    let turn = home.say(&question);
    assert_eq!((&turn["type"], &turn["processing"]), (&Value::Null, &json!(true)), "{turn}");
    let told = home.ended(&turn);
    assert_eq!((&told["type"], &told["image_url"]), (&Value::Null, &Value::Null), "{told}");
    let options = told["options"].as_array().expect("choices");
    assert!(options.iter().all(|option| option["label"].is_string() && option["message"].is_string()), "{told}");
    assert_eq!(home.conversation(&turn)["messages"][1]["options"], told["options"]);

    let prefer = |wait: &str| {
        let headers = [("content-type", "application/json"), ("prefer", wait)];
        request(home.server.address, "POST", CHAT, &headers, &question.to_string())
    };
    let waited = prefer("wait=20");
    assert_eq!((waited.status, &waited.json()["processing"]), (200, &json!(false)), "{waited:?}");
    assert!(waited.headers["preference-applied"] == "wait=20" && waited.headers.contains_key("location"));
    home.fault(&json!({ "fault": { "kind": "hang" }, "dialect": "anthropic" }));
    let slow = prefer("wait=1");
    assert_eq!((slow.status, &slow.json()["processing"]), (202, &json!(true)), "{slow:?}");
    assert_eq!(home.paid().1, 0);
}

#[test]
fn a_later_turn_works_on_the_last_picture_and_both_come_in_order() {
    let home = Home::with(r#"{"behaviour": {"call_ms": {"constant": 600}}}"#, "", |recipe| recipe);
    let first = home.ask();
    let talk = first["conversation_id"].as_str().unwrap();
    let second = home.say(&json!({ "message": "Now transform it into blue", "conversation_id": talk }));
    let third = home.say(&json!({ "message": "Which blue is that?", "conversation_id": talk }));
    assert_eq!(home.conversation(&third)["processing"], true);
    let told = [&first, &second, &third].map(|turn| home.ended(turn));
    assert_eq!(
        told.each_ref().map(|told| &told["type"]),
        [&json!("design_generation"), &json!("design_generation"), &Value::Null]
    );
    assert_ne!(told[0]["image_url"], told[1]["image_url"]);
    let times = [&first, &second, &third].map(|turn| {
        let job = home.server.job(job(turn));
        (job["started_at"].as_str().unwrap().to_owned(), job["finished_at"].as_str().unwrap().to_owned())
    });
    assert!(times[0].1 <= times[1].0 && times[1].1 <= times[2].0, "{times:?}");
    let talk = home.conversation(&first);
    let said: Vec<&str> =
        talk["messages"].as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(said, ["user", "assistant"].repeat(3));
    assert_eq!(talk["image_url"], told[1]["image_url"]);
}

#[test]
fn whoever_polls_follows_or_reads_the_conversation_is_told_the_same() {
    let home = Home::with(
        r#"{"behaviour": {"call_ms": {"constant": 1500}, "queue_ms": {"constant": 1500}},
            "overrides": [{"dialect": "anthropic", "behaviour": {"call_ms": {"constant": 50}}}]}"#,
        "",
        |recipe| recipe,
    );
    let turn = home.ask();
    let path = format!("/home-design/jobs/{}", job(&turn));
    let stream = request(home.server.address, "GET", &path, &[("accept", "text/event-stream")], "").body;
    let events: Vec<&str> = stream.split("\n\n").filter(|event| event.contains("event: ")).collect();
    let last: Value = serde_json::from_str(events.last().unwrap().split_once("data: ").unwrap().1).unwrap();
    let polled = home.server.get(&path).json();
    assert_eq!(last, polled);
    let said = home.conversation(&turn)["messages"][1].clone();
    assert_eq!(
        [&said["content"], &said["image_url"], &said["type"]],
        [&polled["message"], &polled["image_url"], &polled["type"]]
    );
    // Where it stood in FAL's queue, and what FAL said of its work.
    assert!(stream.contains("queue, 1 ahead") || stream.contains("queue, 2 ahead"), "{stream}");
    assert!(stream.contains("% of the simulated work is done"), "{stream}");
}

#[test]
fn while_a_picture_is_made_everything_else_answers_at_once() {
    let home = Home::with(r#"{"behaviour": {"call_ms": {"constant": 9000}}}"#, "", |recipe| recipe);
    let turn = home.ask();
    home.server.running(job(&turn));
    let mut took: Vec<Duration> = ["/healthz", "/v1/jobs", "/pages/raincheck.css"]
        .repeat(10)
        .iter()
        .map(|path| {
            let (reply, took) = timed(|| home.server.get(path));
            assert_eq!(reply.status, 200);
            took
        })
        .collect();
    took.sort();
    assert!(took[took.len() / 2] < Duration::from_millis(100), "{took:?}");
}

#[test]
fn a_link_expires_and_is_renewed_when_it_is_read_again() {
    let home = Home::with(r#"{"behaviour": {"call_ms": {"constant": 50}}}"#, "", |recipe| {
        recipe.replace("| link", "| link('1s')")
    });
    let turn = home.ask();
    let link = || home.ended(&turn)["image_url"].as_str().expect("a link").to_owned();
    let status = |link: &str| request(home.server.address, "HEAD", link, &[], "").status;
    let first = link();
    assert_eq!(status(&first), 200);
    within(Duration::from_secs(10), "the link expires", || (status(&first) == 403).then_some(()));
    let renewed = link();
    assert!(renewed != first && status(&renewed) == 200, "{renewed}");
    assert_eq!(home.conversation(&turn)["image_url"].as_str().map(&status), Some(200));
    // It is good for this file of this tenant alone.
    assert_eq!(status(&renewed.replace("tenant=default", "tenant=other")), 403);
}

#[test]
fn a_message_may_be_an_object_as_the_schema_of_the_document_has_it() {
    let home = Home::with(r#"{"behaviour": {"call_ms": {"constant": 50}}}"#, "", |recipe| {
        let (before, after) = recipe.split_once("[accepted.body]").expect("an answer");
        let line = after.lines().find(|line| line.starts_with("message = ")).expect("a message");
        let object = format!(
            "message = {{ id = \"{{{{ conversation.answer_id }}}}\", role = \"assistant\", content = {} }}",
            &line[10..]
        );
        format!("{before}[accepted.body]{}", after.replacen(line, &object, 1))
    });
    let turn = home.ask();
    assert_eq!((&turn["message"]["role"], &turn["message"]["content"]), (&json!("assistant"), &json!(QUEUED)));
    assert_eq!(home.conversation(&turn)["messages"][1]["id"], turn["message"]["id"]);
}

#[test]
fn a_conversation_that_is_deleted_while_a_picture_is_made_is_gone_with_its_job() {
    let home = Home::with(
        r#"{"behaviour": {"call_ms": {"constant": 60000}},
            "overrides": [{"dialect": "anthropic", "behaviour": {"call_ms": {"constant": 50}}}]}"#,
        "",
        |recipe| recipe,
    );
    let turn = home.send(&[("message", TRANSFORM), ("image", &webp(64))]).json();
    let files = || home.server.get("/openai/v1/files").json()["data"].as_array().map(Vec::len);
    assert_eq!(files(), Some(1));
    within(Duration::from_secs(20), "FAL is at work", || {
        super::crash::is_recorded(&home.server, job(&turn), "draw/started at fal").then_some(())
    });
    let path = format!("/home-design/conversations/{}", turn["conversation_id"].as_str().unwrap());
    assert_eq!(delete(home.server.address, &path).status, 204);
    assert_eq!(home.server.ended(job(&turn))["state"], "cancelled");
    assert_eq!((home.server.get(&path).status, delete(home.server.address, &path).status), (404, 404));
    assert_eq!(files(), Some(0));
    within(Duration::from_secs(10), "FAL is told to stop", || {
        (home.simulator.get("/sim/ledger").json()["total"]["cancelled"] == 1).then_some(())
    });
    let again = json!({ "message": "And?", "conversation_id": turn["conversation_id"] }).to_string();
    assert_eq!(post(home.server.address, CHAT, &again).status, 404);
}

#[test]
fn a_conversation_that_is_deleted_takes_its_pictures_along() {
    let home = Home::new();
    let (turn, other) = (home.ask(), home.ask());
    let link = home.ended(&turn)["image_url"].as_str().expect("a picture").to_owned();
    home.ended(&other);
    let files = || home.server.get("/openai/v1/files").json()["data"].as_array().map(Vec::len);
    assert_eq!(files(), Some(4), "what was sent and what was made, in each");
    let path = format!("/home-design/conversations/{}", turn["conversation_id"].as_str().unwrap());
    assert_eq!(delete(home.server.address, &path).status, 204);
    assert_eq!((files(), request(home.server.address, "HEAD", &link, &[], "").status), (Some(2), 404));
}

#[test]
fn while_the_bucket_is_down_a_picture_is_kept_here_and_not_made_again() {
    let s3 = S3::start();
    s3.down(true);
    let bucket = format!(
        "[blobs]\nstore = \"s3\"\nbucket = \"{BUCKET}\"\nendpoint = \"{}\"\naccess_key_id = \"{KEY_ID}\"\nsecret_access_key = \"{KEY}\"\n",
        s3.endpoint()
    );
    let home = Home::with(r#"{"behaviour": {"call_ms": {"constant": 50}}}"#, &bucket, |recipe| recipe);
    let turn = home.ask();
    let link = home.ended(&turn)["image_url"].as_str().expect("a picture").to_owned();
    assert!(get_bytes(home.server.address, &link).starts_with(b"\x89PNG"));
    let home = home.killed();
    assert!(get_bytes(home.server.address, &link).starts_with(b"\x89PNG"));
    assert_eq!(s3.objects(), Vec::<String>::new());
    s3.down(false);
    within(Duration::from_secs(70), "the bucket has both pictures", || (s3.objects().len() == 2).then_some(()));
    assert!(get_bytes(home.server.address, &link).starts_with(b"\x89PNG"));
    assert_eq!(home.paid(), (1, 1));
}
