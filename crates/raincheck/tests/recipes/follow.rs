use std::net::{SocketAddr, TcpStream};

use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

use super::Kitchen;
use crate::support::{Place, Server, request};

const TALK: &str = r#"
name = "talk"
[route]
post = "/api/talk"
[input]
question = "string"
[steps.plan]
kind = "llm.chat"
message = "Thinking..."
input = { model = "gpt-sim", messages = [{ role = "user", content = "Plan: {{ input.question }}" }] }
[steps.answer]
kind = "llm.chat"
stream = true
input = { model = "gpt-sim", messages = [{ role = "user", content = "{{ input.question }}" }] }
[result]
answer = "{{ steps.answer.choices[0].message.content }}"
[accepted]
body = { id = "{{ job.id }}" }
[status]
get = "/api/talk/{id}"
body = { state = "{{ job.state }}", answer = "{{ job.result.answer if job.result else none }}" }
"#;

fn talk(place: &Place) -> (Server, Kitchen) {
    let simulator = Server::simulator(place, &[]);
    let config = format!("[upstream.sim]\nprotocol = \"openai\"\nbase_url = \"{}/openai/v1\"\n", simulator.url());
    let kitchen = Kitchen::configured(&[("talk", TALK)], &config);
    (simulator, kitchen)
}

/// The events of a stream: their names and what they say.
pub(super) fn events(body: &str) -> Vec<(String, String, serde_json::Value)> {
    let field = |frame: &str, name: &str| {
        frame.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
    };
    let frame = |frame: &str| {
        let data = serde_json::from_str(&field(frame, "data:")?).expect("each event is JSON");
        Some((field(frame, "id:")?, field(frame, "event:")?, data))
    };
    body.split("\n\n").filter_map(frame).collect()
}

/// The same by a WebSocket, until the server says good-bye.
pub(super) fn socket_events(address: SocketAddr, path: &str) -> Vec<(String, String, serde_json::Value)> {
    let url = format!("ws://{address}{path}");
    let stream = TcpStream::connect(address).unwrap();
    let (mut socket, _) = tungstenite::client(url, stream).unwrap();
    let mut told = Vec::new();
    loop {
        match socket.read().unwrap() {
            Message::Text(text) => {
                let mut event: serde_json::Value = serde_json::from_str(&text).unwrap();
                told.push((event["id"].to_string(), event["event"].as_str().unwrap().to_owned(), event["data"].take()));
            }
            Message::Close(goodbye) => {
                assert_eq!(goodbye.unwrap().code, CloseCode::Normal);
                return told;
            }
            _ => {}
        }
    }
}

#[test]
fn the_text_of_the_step_that_is_streamed_is_followed_and_the_end_is_the_status_page() {
    let place = Place::new();
    let (_simulator, kitchen) = talk(&place);
    let accepted = kitchen.post("/api/talk", r#"{"question": "Why is rain wet?"}"#);
    let path = format!("/api/talk/{}", accepted.json()["id"].as_str().unwrap());
    let stream = |headers: &[(&str, &str)]| {
        let accept = [&[("accept", "text/event-stream")], headers].concat();
        events(&request(kitchen.server.address, "GET", &path, &accept, "").body)
    };
    let told = stream(&[]);
    let text: String =
        told.iter().filter(|(_, name, _)| name == "output").filter_map(|(_, _, data)| data["text"].as_str()).collect();
    let (_, last, page) = told.last().unwrap();
    assert_eq!((last.as_str(), &page["answer"], &page["state"]), ("ended", &text.as_str().into(), &"completed".into()));
    assert!(told.iter().all(|(_, name, data)| name != "output" || data["step"] == "answer"), "{told:?}");
    assert!(told.iter().any(|(_, name, data)| name == "progress" && data["message"] == "Thinking..."), "{told:?}");
    // What a follower has seen is not told again; who has seen all is told that there is no more.
    let middle = &told[told.len() / 2].0;
    assert_eq!(stream(&[("last-event-id", middle)]), told[told.len() / 2 + 1..]);
    let end = [("accept", "text/event-stream"), ("last-event-id", told.last().unwrap().0.as_str())];
    assert_eq!(request(kitchen.server.address, "GET", &path, &end, "").status, 204);
    // By a WebSocket it is the same.
    let by_socket = |after: &str| socket_events(kitchen.server.address, &format!("{path}?after={after}"));
    assert_eq!(by_socket("0"), told);
    assert_eq!(by_socket(middle), told[told.len() / 2 + 1..]);
}
