//! `raincheck upstreams` against a real server whose provider is simulated.

use crate::support::{Ended, Place, Server, raincheck, run};

fn client(server: &Server, args: &[&str]) -> Ended {
    run(&mut raincheck(&[args, &["--server", &server.url()]].concat()))
}

#[test]
fn upstreams_are_shown_as_they_stand_and_no_key_with_them() {
    let place = Place::new();
    let simulator = Server::simulator(&place, &[]);
    let server = Server::configured(
        &place,
        &format!(
            "[upstream.openai]\nprotocol = \"openai\"\nbase_url = \"http://{}/openai/v1\"\napi_key = \"sk-canary-1\"\n\
             requests_per_minute = 500\n\
             [upstream.gone]\nprotocol = \"anthropic\"\nbase_url = \"http://127.0.0.1:1/sk-canary-3\"\n\
             api_key = \"sk-canary-4\"\n",
            simulator.address
        ),
    );
    let chat = r#"{"model": "gpt-5", "messages": []}"#;
    assert_eq!(client(&server, &["submit", "llm.chat", "--input", chat, "--follow"]).code, Some(0));
    let message = r#"{"model": "claude", "max_tokens": 9, "messages": []}"#;
    let failed = client(&server, &["submit", "llm.message", "--max-attempts", "1", "--input", message, "--follow"]);
    assert_eq!(failed.code, Some(1), "{failed:?}");

    let all = client(&server, &["upstreams"]);
    assert_eq!(all.code, Some(0), "{all:?}");
    let shown = all.json()["upstreams"].clone();
    assert_eq!((&shown[0]["upstream"], &shown[0]["host"]), (&"gone".into(), &"127.0.0.1:1".into()), "{shown}");
    let failure = &shown[0]["models"][0]["last_failure"];
    assert_eq!(
        (&failure["type"], &failure["detail"]),
        (&"urn:raincheck:problem:upstream-failed".into(), &"it was not reached".into())
    );
    assert_eq!(shown[1]["models"][0]["requests"], serde_json::json!({ "used": 1, "limit": 500 }));
    assert!(!all.out.contains("canary"), "{}", all.out);

    let one = client(&server, &["upstreams", "openai"]);
    assert_eq!(one.json()["upstreams"].as_array().map(Vec::len), Some(1), "{one:?}");
    let none = client(&server, &["upstreams", "nowhere"]);
    assert_eq!((none.code, none.err.contains("there is no upstream \"nowhere\"")), (Some(1), true), "{none:?}");
}
