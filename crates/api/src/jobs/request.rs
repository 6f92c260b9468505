use raincheck_core::{
    ConcurrencyKey, Json, Kind, Labels, Priority, Problem, ProblemType, QueueName, Tenant, Time, WEBHOOK_URL_MAX,
};
use raincheck_engine::Submission;
use raincheck_store::Idempotency;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::Api;
use crate::json;
use crate::number::{Seconds, Whole};
use crate::webhooks;

/// Labels of a job, in number.
const LABELS_MAX: usize = 32;
/// The name of a label, in bytes.
const LABEL_NAME_MAX: usize = 64;
/// The value of a label, in bytes.
const LABEL_VALUE_MAX: usize = 256;
/// What names a kind or queue, as a pattern of JSON Schema.
const NAME_PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";

/// A wish for a job. What is left out is chosen by the kind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobRequest {
    /// What sort of work: one of those that `GET /v1/kinds` lists.
    #[schemars(with = "String", extend("pattern" = NAME_PATTERN))]
    pub(crate) kind: Kind,
    /// What the handler is given. Numbers keep their digits.
    #[serde(default)]
    #[schemars(with = "serde_json::Value")]
    pub(crate) input: Json,
    /// Where it waits; the queue of the kind's name if left out.
    #[schemars(with = "Option<String>", extend("pattern" = NAME_PATTERN))]
    queue: Option<QueueName>,
    /// Of your jobs with this key no more than one is under way: the next begins when the one before it has ended. 1 to 255
    /// bytes.
    #[schemars(with = "Option<String>", length(min = 1, max = 255))]
    concurrency_key: Option<ConcurrencyKey>,
    /// How urgent it is within the queue: P0 (first) to P9 (last); P5 if left out.
    #[schemars(with = "Option<String>", extend("pattern" = "^[Pp][0-9]$"))]
    priority: Option<Priority>,
    /// Free words to find it by: up to 32, names of up to 64 and values of up to 256 bytes.
    #[serde(default)]
    #[schemars(extend("maxProperties" = LABELS_MAX))]
    labels: Labels,
    /// Not before this time (RFC 3339). Not together with `delay`.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    run_at: Option<Time>,
    /// Not before so many seconds from now.
    #[schemars(with = "Option<f64>", range(min = 0, max = 31_622_400))]
    delay: Option<Seconds>,
    /// After this time (RFC 3339) it is not started any more, and a running attempt is stopped.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    deadline: Option<Time>,
    /// The longest that one attempt may take, in seconds.
    #[schemars(with = "Option<f64>", range(min = 0.001, max = 31_622_400))]
    timeout: Option<Seconds>,
    /// How often it may fail before it has failed: 1 to 100.
    #[schemars(with = "Option<u32>", range(min = 1, max = 100))]
    max_attempts: Option<Whole>,
    /// How long it stays readable once it has ended, in seconds; 7 days if left out.
    #[schemars(with = "Option<f64>", range(min = 0, max = 31_622_400))]
    retention: Option<Seconds>,
    /// The address that is told when the job has ended: a webhook.
    #[schemars(extend("format" = "uri", "maxLength" = WEBHOOK_URL_MAX))]
    webhook: Option<String>,
}

impl JobRequest {
    /// The wish as the engine takes it.
    ///
    /// # Errors
    /// What cannot be, with a pointer to it.
    pub(crate) fn submission(
        self,
        api: &Api,
        tenant: Tenant,
        idempotency: Option<Idempotency>,
        now: Time,
    ) -> Result<Submission, Problem> {
        self.check(api.settings.input_bytes_max)?;
        let webhook = self.webhook.map(|url| webhooks::wanted(api, &url, "/webhook")).transpose()?;
        Ok(Submission {
            kind: self.kind,
            input: self.input,
            tenant,
            queue: self.queue,
            concurrency_key: self.concurrency_key,
            priority: self.priority.unwrap_or_default(),
            labels: self.labels,
            run_at: self.run_at.or(self.delay.map(|Seconds(delay)| now.after(delay))),
            deadline: self.deadline,
            max_attempts: self.max_attempts.map(|Whole(number)| number),
            timeout: self.timeout.map(|Seconds(timeout)| timeout),
            retention: self.retention.map(|Seconds(retention)| retention),
            idempotency,
            retry_of: None,
            webhook,
            turn: None,
        })
    }

    fn check(&self, input_bytes_max: usize) -> Result<(), Problem> {
        let invalid = |pointer: &str, detail: &str| Err(Problem::new(ProblemType::INVALID_REQUEST, detail).at(pointer));
        if self.input.as_str().len() > input_bytes_max {
            let detail =
                format!("an input may have {input_bytes_max} bytes; put what is larger where the handler can read it");
            return Err(Problem::new(ProblemType::BODY_TOO_LARGE, detail).at("/input"));
        }
        if !json::is_shallow(self.input.as_str()) {
            return invalid("/input", "the input is nested deeper than 64 levels");
        }
        if !json::has_whole_characters(self.input.as_str()) {
            return invalid(
                "/input",
                "a string of the input has half a surrogate pair (an escape from \\ud800 to \\udfff alone)",
            );
        }
        if self.run_at.is_some() && self.delay.is_some() {
            return invalid("/delay", "give run_at or delay, not both");
        }
        if self.labels.len() > LABELS_MAX {
            return invalid("/labels", "a job may have 32 labels");
        }
        for (name, value) in &self.labels {
            let bad_name = name.is_empty() || name.len() > LABEL_NAME_MAX || name.contains([':', '\0']);
            if bad_name || value.len() > LABEL_VALUE_MAX || value.contains('\0') {
                let detail = "a label has a name of 1 to 64 bytes without a colon, and a value of up to 256 bytes";
                return invalid("/labels", detail);
            }
        }
        Ok(())
    }
}
