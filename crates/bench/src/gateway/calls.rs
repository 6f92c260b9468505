use std::sync::Arc;

use serde_json::{Value, json};

use crate::closed::Wanted;
use crate::failure::Fallible;
use crate::http::{Answer, get, post};
use crate::jobs::told;
use crate::load::Requests;
use crate::server::Server;

/// What is asked for: so often this is about 1 KB, or 100.
const PROMPT: &str =
    "It rained in the night, and the road to the harbour was still wet when the first carts came down. ";
const PROMPTS: usize = 10;
const PROMPTS_LONG: usize = 1_000;
/// How many tokens are to be answered.
const TOKENS: u32 = 32;

/// What is asked, and how its answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As one object.
    Whole,
    /// So too, to a long prompt.
    Long,
    /// Token by token.
    Streamed,
}

impl Mode {
    /// Whether this is an answer of the simulator's, to its end.
    pub(crate) fn is_whole_answer(self, answer: &Answer<'_>) -> bool {
        let (kind, end): (&[u8], &[u8]) = match self {
            Self::Whole | Self::Long => (b"\"chat.completion\"", b"}"),
            Self::Streamed => (b"\"chat.completion.chunk\"", b"data: [DONE]"),
        };
        let holds = |part: &[u8]| answer.body.windows(part.len()).any(|window| window == part);
        answer.status == 200 && answer.body.trim_ascii_end().ends_with(end) && holds(kind)
    }

    pub(crate) fn wanted(self) -> Wanted {
        Arc::new(move |answer| self.is_whole_answer(answer))
    }
}

/// Requests for chat completions with so many texts in turn. Made before: that is not to take the time of what measures.
pub(crate) fn requests(path: &str, headers: &str, mode: Mode) -> Requests {
    const TEXTS: u64 = 64;
    let request = |number| {
        let prompts = if mode == Mode::Long { PROMPTS_LONG } else { PROMPTS };
        let text = format!("Number {number}. {}", PROMPT.repeat(prompts));
        let messages =
            json!([{"role": "system", "content": "Answer in a sentence."}, {"role": "user", "content": text}]);
        let mut body = json!({"model": "gpt-sim", "max_tokens": TOKENS, "messages": messages});
        if mode == Mode::Streamed {
            body["stream"] = true.into();
        }
        post(path, headers, &body.to_string())
    };
    let made: Vec<Vec<u8>> = (0..TEXTS).map(request).collect();
    Arc::new(move |number, bytes| {
        let next = usize::try_from(number % TEXTS).ok().and_then(|number| made.get(number));
        bytes.clear();
        bytes.extend(next.into_iter().flatten());
    })
}

/// How many calls the simulator has served to their end.
pub(crate) async fn served(simulator: &Server) -> Fallible<f64> {
    let ledger: Value = serde_json::from_slice(&told(simulator.address, &get("/sim/ledger", "")).await?)?;
    ledger["total"]["completed"].as_f64().ok_or_else(|| "a ledger without a total".into())
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn only_a_whole_answer_is_one() {
        let is_one = |mode: Mode, status, body: &str| {
            mode.is_whole_answer(&Answer { status, body: body.as_bytes(), begun: Instant::now() })
        };
        let whole = r#"{"object": "chat.completion", "choices": []}"#;
        assert!(is_one(Mode::Whole, 200, whole) && !is_one(Mode::Whole, 500, whole));
        assert!(!is_one(Mode::Whole, 200, &whole[..20]) && !is_one(Mode::Whole, 200, r#"{"error": {}}"#));
        let stream = "data: {\"object\":\"chat.completion.chunk\"}\n\ndata: [DONE]\n\n";
        assert!(is_one(Mode::Streamed, 200, stream) && !is_one(Mode::Streamed, 200, &stream[..40]));
        assert!(!is_one(Mode::Streamed, 200, "data: {\"error\": {}}\n\ndata: [DONE]\n\n"));
    }

    #[test]
    fn a_request_says_how_its_answer_is_to_come() {
        let body = |mode| {
            let mut bytes = Vec::new();
            requests("/v1/chat/completions", "x-a: b\r\n", mode)(7, &mut bytes);
            let text = String::from_utf8(bytes).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n") && head.contains("\r\nx-a: b\r\n"));
            serde_json::from_str::<Value>(body).unwrap()
        };
        assert_eq!((&body(Mode::Whole)["stream"], &body(Mode::Streamed)["stream"]), (&Value::Null, &json!(true)));
    }
}
