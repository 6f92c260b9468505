use std::collections::BTreeMap;

use raincheck_core::Json;

use crate::llm::Dialect;
use crate::{
    AudioScan, Batch, CollectionSearch, ConversationSummarize, Echo, FileFetch, HttpRequest, ImageGenerate,
    MessageBatch, Sleep,
};

/// The bundled kinds that steps of recipes can be of, in order of name. Those that call upstreams are there once there is an
/// upstream that could be called.
pub const BUNDLED: [&str; 14] = [
    "audio.scan",
    "collection.search",
    "conversation.summarize",
    "echo",
    "file.fetch",
    "http.request",
    "image.generate",
    "llm.batch",
    "llm.chat",
    "llm.embed",
    "llm.message",
    "llm.message_batch",
    "llm.response",
    "sleep",
];

/// The JSON Schema of what each bundled kind is given, as its handler says it: for whoever checks recipes and starts nothing.
#[must_use]
pub fn schemas() -> BTreeMap<&'static str, Json> {
    let model = |dialect: Dialect| Json::from(dialect.schema());
    BTreeMap::from([
        ("audio.scan", AudioScan::described().input_schema),
        ("collection.search", CollectionSearch::described().input_schema),
        ("conversation.summarize", ConversationSummarize::described().input_schema),
        ("echo", Echo::described().input_schema),
        ("file.fetch", FileFetch::described().input_schema),
        ("http.request", HttpRequest::described().input_schema),
        ("image.generate", ImageGenerate::described().input_schema),
        ("llm.batch", Batch::described().input_schema),
        ("llm.chat", model(Dialect::Chat)),
        ("llm.embed", model(Dialect::Embed)),
        ("llm.message", model(Dialect::Message)),
        ("llm.message_batch", MessageBatch::described().input_schema),
        ("llm.response", model(Dialect::Response)),
        ("sleep", Sleep::described().input_schema),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bundled_kind_has_its_schema() {
        assert!(schemas().into_keys().eq(BUNDLED));
    }
}
