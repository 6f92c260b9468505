use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Dice, Tenant};

/// The longest address of a webhook, in bytes.
pub const WEBHOOK_URL_MAX: usize = 2_048;

/// The waits between tries, which the Standard Webhooks specification recommends: ten tries in three days.
const WAITS: [Duration; 9] = {
    const HOUR: u64 = 3_600;
    let seconds = [5, 300, HOUR / 2, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];
    let mut waits = [Duration::ZERO; 9];
    let mut number = 0;
    while number < waits.len() {
        waits[number] = Duration::from_secs(seconds[number]);
        number += 1;
    }
    waits
};

/// The longest wait that an endpoint may ask for.
const ASKED_MAX: Duration = Duration::from_secs(24 * 3_600);

/// How long after the failure of its `number`-th try (from 1) a delivery is tried again: as long as the endpoint asked for, if
/// that is longer than its turn; and up to a tenth more, so that those that failed together do not come back together.
/// `None` if that was the last try.
#[must_use]
pub fn redelivered_after(number: u32, asked: Option<Duration>, dice: Dice) -> Option<Duration> {
    let turn = usize::try_from(number).ok()?.checked_sub(1)?;
    let wait = (*WAITS.get(turn)?).max(asked.unwrap_or_default().min(ASKED_MAX));
    Some(wait + dice.up_to(wait / 10))
}

/// Where somebody wants to be told of a job, instead of asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// An absolute `http` or `https` address without user and password.
    pub url: String,
    /// In whose words.
    #[serde(default, skip_serializing_if = "WebhookForm::is_native")]
    pub form: WebhookForm,
    /// Of what.
    #[serde(default = "Webhook::end", skip_serializing_if = "Webhook::is_end")]
    pub events: BTreeSet<WebhookEvent>,
    /// How whoever submitted the job addressed this server: the beginning of addresses in what is told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub base: String,
}

/// The dialect in which a webhook is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookForm {
    /// Raincheck's own.
    #[default]
    Native,
    /// FAL's queue.
    Fal,
    /// Replicate's predictions.
    Replicate,
}

impl WebhookForm {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
    fn is_native(&self) -> bool {
        *self == Self::Native
    }
}

/// What of a job a webhook is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookEvent {
    /// An attempt has started.
    Started,
    /// There is output.
    Output,
    /// There is progress.
    Progress,
    /// It has ended, however it did. Told again and again until it is taken; the others are told once.
    Ended,
}

impl Webhook {
    /// A webhook that is told of the end, in Raincheck's own words.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self { url, form: WebhookForm::default(), events: Self::end(), base: String::new() }
    }

    fn end() -> BTreeSet<WebhookEvent> {
        [WebhookEvent::Ended].into()
    }

    fn is_end(events: &BTreeSet<WebhookEvent>) -> bool {
        *events == Self::end()
    }

    /// Whether the end of the job is told, which is promised; what is told before is not.
    #[must_use]
    pub fn wants_end(&self) -> bool {
        self.events.contains(&WebhookEvent::Ended)
    }

    /// Who is told on whose behalf: the tenant, and the host that it calls, without its port and in small letters. Endpoints
    /// take turns, and none is told more than a few things at once.
    #[must_use]
    pub fn endpoint(&self, tenant: &Tenant) -> String {
        let behind_scheme = self.url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = behind_scheme.split(['/', '?', '#']).next().unwrap_or_default();
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        };
        format!("{tenant} {}", host.trim_end_matches('.').to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_tenant_and_host() {
        let endpoint = |url: &str| Webhook::new(url.to_owned()).endpoint(&Tenant::default());
        assert_eq!(endpoint("https://Example.com/a?b#c"), "default example.com");
        assert_eq!(endpoint("https://example.com.:443/"), "default example.com");
        assert_eq!(endpoint("http://[::1]:8080?x"), "default [::1]");
        assert_eq!(endpoint("nothing"), "default ");
    }

    #[test]
    fn ten_tries_take_three_days() {
        let wait = |number, asked| redelivered_after(number, asked, Dice(0));
        let all: Duration = (1..10).map(|number| wait(number, None).unwrap()).sum();
        assert_eq!(all, Duration::from_secs(272_105), "75.6 hours");
        assert_eq!((wait(10, None), wait(0, None)), (None, None));
        assert_eq!(wait(1, Some(Duration::from_secs(60))), Some(Duration::from_secs(60)));
        assert_eq!(wait(1, Some(Duration::MAX)), Some(ASKED_MAX));
        let longest = redelivered_after(2, None, Dice(u32::MAX)).unwrap();
        assert!(longest > Duration::from_secs(329) && longest <= Duration::from_secs(330), "{longest:?}");
    }

    #[test]
    fn what_is_usual_is_left_out_of_its_json() {
        let webhook = Webhook::new("https://a.example/".to_owned());
        let text = serde_json::to_string(&webhook).unwrap();
        assert_eq!(text, r#"{"url":"https://a.example/"}"#);
        assert_eq!(serde_json::from_str::<Webhook>(&text).unwrap(), webhook);
    }
}
