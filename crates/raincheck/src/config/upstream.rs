use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use raincheck_core::gate::ConcurrencyLimit;
use raincheck_recipes::nearest;
use raincheck_upstream::{OnAmbiguous, Patience, Price, PriceError, Prices, Protocol, Secret, UpstreamConfig};

use super::base_url::BaseUrl;
use super::named::{NAME_MUST, Named, is_name};
use super::reader::Reader;
use super::value::{Value, one_of, word_of};

/// How long OpenAI can be asked to keep a file.
const FILES_EXPIRE: RangeInclusive<Duration> = Duration::from_secs(3_600)..=Duration::from_secs(30 * 24 * 3_600);
const FILES_EXPIRE_MUST: &str = "must be from 1h to 30d, or 0s for files that do not expire";

/// `[upstream.NAME]`: the slow APIs that are called, by the names that the operator gives them. They stand in the file alone:
/// an environment variable could not say which is meant.
pub(super) fn read(reader: &mut Reader<'_>) -> BTreeMap<String, UpstreamConfig> {
    let mut upstreams = BTreeMap::new();
    let mut fallbacks = Vec::new();
    for (name, table) in reader.take_named("upstream") {
        let mut section = Named::new(reader, "upstream", name.get_ref(), table);
        let config = upstream(&mut section, name.span());
        fallbacks.extend(section.spans.remove("fallback").map(|span| (name.get_ref().clone(), span)));
        section.finish();
        if is_name(name.get_ref()) {
            upstreams.extend(config.map(|config| (name.into_inner(), config)));
        } else {
            reader.complain(name.span(), format!("an upstream's name {NAME_MUST}"), None);
        }
    }
    for (name, span) in fallbacks {
        if let Some(message) = upstreams.get(&name).and_then(|config| wrong_fallback(config, &upstreams)) {
            reader.complain(span, message, None);
        }
    }
    upstreams
}

/// What is wrong with an upstream's fallbacks, if anything is.
fn wrong_fallback(config: &UpstreamConfig, all: &BTreeMap<String, UpstreamConfig>) -> Option<String> {
    config.fallback.iter().find_map(|fallback| {
        let name = fallback.split_once(':').map_or(fallback.as_str(), |(name, _)| name);
        match all.get(name) {
            None => {
                let near = nearest(name, all.keys().map(String::as_str));
                let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                Some(format!("fallback: there is no [upstream.{name}]{hint}"))
            }
            Some(other) if other.protocol != config.protocol => {
                Some(format!("fallback: `{name}` speaks {}, not {}", other.protocol, config.protocol))
            }
            Some(_) => None,
        }
    })
}

fn upstream(section: &mut Named<'_, '_>, whole: Range<usize>) -> Option<UpstreamConfig> {
    let protocol = section.get("protocol");
    let base_url = section.get("base_url");
    let (Some(protocol), Some(BaseUrl(base_url))) = (protocol, base_url) else {
        if !section.is_wrong {
            section.complain(whole, "an upstream needs `protocol` and `base_url`".into());
        }
        return None;
    };
    let usual = UpstreamConfig::new(protocol, base_url);
    let some = |number: &u64| *number > 0;
    let config = UpstreamConfig {
        api_key: key(section),
        pass_through_key: section.get("pass_through_key").unwrap_or(usual.pass_through_key),
        models: section.get("models").unwrap_or_default(),
        concurrency: section.get("concurrency").unwrap_or(usual.concurrency),
        requests_per_minute: section.get_if("requests_per_minute", some, "must be at least 1"),
        tokens_per_minute: section.get_if("tokens_per_minute", some, "must be at least 1"),
        patience: Patience {
            connect: section.get("connect_timeout").unwrap_or(usual.patience.connect),
            first_byte: section.get("first_byte_timeout").unwrap_or(usual.patience.first_byte),
            gap: section.get("gap_timeout").unwrap_or(usual.patience.gap),
            total: section.get("total_timeout").unwrap_or(usual.patience.total),
        },
        fallback: section.get("fallback").unwrap_or_default(),
        idempotency_header: match section.get::<String>("idempotency_header") {
            Some(name) if name.is_empty() => None,
            Some(name) => Some(name),
            None => usual.idempotency_header.clone(),
        },
        native_background: section.get("native_background").unwrap_or(usual.native_background),
        on_ambiguous: section.get("on_ambiguous").unwrap_or(usual.on_ambiguous),
        prices: match (section.get("input_price"), section.get("output_price")) {
            (None, None) => None,
            (input, output) => Some(Prices { input: input.unwrap_or_default(), output: output.unwrap_or_default() }),
        },
        files_expire_after: section
            .get_if(
                "files_expire_after",
                |after: &Duration| after.is_zero() || FILES_EXPIRE.contains(after),
                FILES_EXPIRE_MUST,
            )
            .map_or(usual.files_expire_after, |after: Duration| (!after.is_zero()).then_some(after)),
        ..usual
    };
    warn_of_patience(section, &config.patience);
    Some(config)
}

/// Waiting longer for the beginning of an answer than for all of it means nothing.
fn warn_of_patience(section: &mut Named<'_, '_>, Patience { first_byte, total, .. }: &Patience) {
    if first_byte > total
        && let Some(span) = section.spans.get("first_byte_timeout").cloned()
    {
        let [first_byte, total] = [first_byte.show(), total.show()];
        section.warn(span, format!("first_byte_timeout = {first_byte} means nothing: total_timeout = {total} ends it"));
    }
}

/// The upstream's key: as it stands, or from the environment variable that is named.
fn key(section: &mut Named<'_, '_>) -> Option<Secret> {
    let written = section.take("api_key").map(|value| (value.span(), String::from_toml(value.get_ref())));
    let named = section.take("api_key_env").map(|value| (value.span(), String::from_toml(value.get_ref())));
    let (span, key) = match (written, named) {
        (Some(_), Some((span, _))) => (span, Err("give api_key or api_key_env, not both".to_owned())),
        (Some((span, key)), None) => (span, key.inspect(|_| section.tell("api_key", "\"…\"".into()))),
        (None, Some((span, name))) => {
            let name = name.inspect(|name| section.tell("api_key_env", name.show()));
            let unset = |name: &str| format!("the environment variable {name} is not set");
            (span, name.and_then(|name| std::env::var(&name).map_err(|_| unset(&name))))
        }
        (None, None) => return None,
    };
    match key {
        Ok(key) => Some(Secret::new(key)),
        Err(message) => {
            section.complain(span, format!("the key: {message}"));
            None
        }
    }
}

const PROTOCOLS: &[(&str, Protocol)] = &[
    ("openai", Protocol::Openai),
    ("anthropic", Protocol::Anthropic),
    ("fal", Protocol::Fal),
    ("replicate", Protocol::Replicate),
    ("http", Protocol::Http),
];

impl Value for Protocol {
    fn from_text(text: &str) -> Result<Self, String> {
        one_of(text, PROTOCOLS)
    }

    fn show(&self) -> String {
        word_of(self, PROTOCOLS)
    }
}

const POLICIES: &[(&str, OnAmbiguous)] = &[("retry", OnAmbiguous::Retry), ("fail", OnAmbiguous::Fail)];

impl Value for OnAmbiguous {
    fn from_text(text: &str) -> Result<Self, String> {
        one_of(text, POLICIES)
    }

    fn show(&self) -> String {
        word_of(self, POLICIES)
    }
}

impl Value for Price {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: PriceError| error.to_string())
    }

    fn from_toml(value: &toml::de::DeValue<'_>) -> Result<Self, String> {
        let number = value.as_float().map(|number| number.as_str());
        let number = number.or_else(|| value.as_integer().map(|number| number.as_str())).or(value.as_str());
        Self::from_text(&number.unwrap_or(value.type_str()).replace('_', ""))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// A number, or `"adaptive"`.
impl Value for ConcurrencyLimit {
    fn from_text(text: &str) -> Result<Self, String> {
        match text.trim().parse() {
            _ if text == "adaptive" => Ok(Self::Adaptive { max: 256 }),
            Ok(limit) if limit > 0 => Ok(Self::Fixed(limit)),
            _ => Err(format!("expected a number of at least 1 or \"adaptive\", not {text:?}")),
        }
    }

    fn from_toml(value: &toml::de::DeValue<'_>) -> Result<Self, String> {
        let text = value.as_integer().map(|number| number.as_str()).or(value.as_str());
        Self::from_text(text.unwrap_or(value.type_str()))
    }

    fn show(&self) -> String {
        match self {
            Self::Fixed(limit) => limit.to_string(),
            Self::Adaptive { .. } => "\"adaptive\"".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Layers;
    use super::*;

    const EXAMPLE: &str = include_str!("../../../../raincheck.example.toml");
    const DEFAULTS: &str = "# And these are the defaults of the others:";

    /// The settings of an upstream in the example, as a file would have them.
    fn shown(lines: impl Iterator<Item = &'static str>) -> Layers {
        let settings: Vec<&str> = lines.filter_map(|line| line.strip_prefix("#     ")).collect();
        let text = format!("[upstream.openai]\n{}", settings.join("\n"));
        Layers { file: Some(("raincheck.toml".into(), text)), ..Layers::default() }
    }

    fn section() -> impl Iterator<Item = &'static str> {
        EXAMPLE
            .lines()
            .skip_while(|line| *line != "#     [upstream.openai]")
            .skip(1)
            .take_while(|line| !line.is_empty())
    }

    #[test]
    fn the_example_has_every_setting_of_an_upstream() {
        let layers = shown(section());
        let mut reader = Reader::new(&layers);
        let (_, table) = reader.take_named("upstream").remove(0);
        let mut section = Named::new(&mut reader, "upstream", "openai", table);
        upstream(&mut section, 0..0).unwrap();
        let missing: Vec<_> = section.known.iter().filter(|known| !section.spans.contains_key(*known)).collect();
        assert_eq!(missing, [&"api_key"]);
        assert!(EXAMPLE.contains("; or api_key = \"sk-...\""));
        section.finish();
        let unknown = reader.finish().err().unwrap_or_default();
        assert!(unknown.iter().all(|complaint| complaint.message.starts_with("the key: ")), "{unknown:?}");
    }

    #[test]
    fn what_the_example_calls_a_default_is_one() {
        let needed = section().take_while(|line| *line != "#");
        let layers = shown(needed.chain(section().skip_while(|line| *line != DEFAULTS)));
        let mut reader = Reader::new(&layers);
        let upstreams = read(&mut reader);
        let config = &upstreams["openai"];
        assert_eq!(*config, UpstreamConfig::new(config.protocol, config.base_url.clone()));
        assert!(reader.finish().is_ok_and(|settings| settings.len() == 12), "two that are needed, and ten");
    }
}
