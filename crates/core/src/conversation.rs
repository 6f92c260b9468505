use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{ConcurrencyKey, IdError, JobId, JobKey, Json, Minter, Outcome, Problem, Tenant, Time};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident = $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(JobId);

        impl $name {
            /// The id with this key and these random bits (of which the low 62 count).
            #[must_use]
            pub fn new(key: JobKey, random: u64) -> Self {
                Self(JobId::new(key, random))
            }

            /// The sortable part.
            #[must_use]
            pub fn key(&self) -> JobKey {
                self.0.key()
            }

            /// The random part, 62 bits.
            #[must_use]
            pub fn random(&self) -> u64 {
                self.0.random()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0.digits())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                JobId::from_digits(text.strip_prefix($prefix).ok_or(IdError)?).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

id! {
    /// The name of a conversation: `conv_` and a UUIDv7, made and sorted as a [`JobId`] is.
    ConversationId = "conv_"
}
id! {
    /// The name of a message: `msg_` and a UUIDv7. Messages sort by their number, not by this.
    MessageId = "msg_"
}

impl ConversationId {
    /// The next id of this minter, which makes those of jobs too.
    pub fn mint(minter: &mut Minter, now: Time, random: u64) -> Self {
        Self(minter.mint(now, random))
    }

    /// The concurrency key of the conversation's turns, so that they come one after the other.
    #[must_use]
    pub fn concurrency_key(&self) -> ConcurrencyKey {
        format!("conversation:{self}").parse().expect("an id is short and visible")
    }
}

impl MessageId {
    /// The id of a message of this moment with these random bits.
    #[must_use]
    pub fn at(now: Time, random: u64) -> Self {
        Self(Minter::after(None).mint(now, random))
    }
}

/// Messages of a tenant that belong together, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    /// Its name.
    pub id: ConversationId,
    /// Whose it is.
    pub tenant: Tenant,
    /// What its owner keeps with it.
    pub metadata: Option<Json>,
    /// How many messages it has; they are numbered from 1 without gaps.
    pub messages: u32,
    /// How many of them are of the user.
    pub turns: u32,
    /// When it was begun.
    pub created_at: Time,
    /// When a message of it last came or changed.
    pub updated_at: Time,
}

impl Conversation {
    /// One without messages.
    #[must_use]
    pub fn new(id: ConversationId, tenant: Tenant, metadata: Option<Json>, now: Time) -> Self {
        Self { id, tenant, metadata, messages: 0, turns: 0, created_at: now, updated_at: now }
    }

    /// Gives the next message its number.
    pub fn count(&mut self, role: Role, now: Time) -> u32 {
        self.messages += 1;
        self.turns += u32::from(role == Role::User);
        self.updated_at = self.updated_at.max(now);
        self.messages
    }
}

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A person.
    User,
    /// The program that answers.
    Assistant,
    /// Whoever says how to answer.
    System,
}

impl Role {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
        }
    }
}

/// Where a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// An answer that a job is to give. It leaves this state in the transaction that ends the job.
    Processing,
    /// It says what its content is.
    Completed,
    /// An answer whose job failed.
    Failed,
    /// An answer whose job was cancelled.
    Cancelled,
    /// An answer whose job was not done before its deadline.
    Expired,
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its name.
    pub id: MessageId,
    /// Its place in the conversation, from 1.
    pub number: u32,
    /// Who says it.
    pub role: Role,
    /// Where it is.
    pub state: MessageState,
    /// What it says, once it is completed.
    pub content: Option<Json>,
    /// Why it says nothing, if its job failed.
    pub error: Option<Problem>,
    /// The job that gives it, or that it gave rise to.
    pub job: Option<JobId>,
    /// What its sender keeps with it.
    pub metadata: Option<Json>,
    /// When it came.
    pub created_at: Time,
    /// When it left `processing`, or came.
    pub finished_at: Option<Time>,
}

impl Message {
    /// One that is said now.
    #[must_use]
    pub fn said(id: MessageId, number: u32, role: Role, content: Json, now: Time) -> Self {
        let (state, content) = (MessageState::Completed, Some(content));
        let (error, job, metadata, finished_at) = (None, None, None, Some(now));
        Self { id, number, role, state, content, error, job, metadata, created_at: now, finished_at }
    }

    /// An answer that a job is to give.
    #[must_use]
    pub fn awaited(id: MessageId, number: u32, job: JobId, now: Time) -> Self {
        let said = Self::said(id, number, Role::Assistant, Json::null(), now);
        Self { state: MessageState::Processing, content: None, job: Some(job), finished_at: None, ..said }
    }

    /// Its job has ended. The content of a completed answer is `reply`, or else the job's result.
    pub fn end(&mut self, outcome: &Outcome, reply: Option<&Json>, now: Time) {
        self.finished_at = Some(now);
        self.state = match outcome {
            Outcome::Completed(result) => {
                self.content = Some(reply.unwrap_or(result).clone());
                MessageState::Completed
            }
            Outcome::Failed(problem) => {
                self.error = Some(problem.clone());
                MessageState::Failed
            }
            Outcome::Cancelled(_) => MessageState::Cancelled,
            Outcome::Expired => MessageState::Expired,
        };
    }

    /// About how many bytes it has.
    #[must_use]
    pub fn bytes(&self) -> usize {
        [&self.content, &self.metadata].into_iter().flatten().map(|json| json.as_str().len()).sum()
    }
}

/// What a conversation says up to a message, in short.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The number of the last message that it covers; there is one summary for each.
    pub up_to: u32,
    /// What it says.
    pub content: Json,
    /// When it was made.
    pub created_at: Time,
}

/// The part of a conversation that a job gives: a message of the user, and the answer to it, which is the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// The conversation.
    pub conversation: ConversationId,
    /// The user's message.
    pub message: MessageId,
    /// The answer.
    pub answer: MessageId,
    /// The number of the user's message; the answer has the next.
    pub number: u32,
    /// How many messages of the user there are up to and with this one.
    pub turn: u32,
}

impl Turn {
    /// The number of the answer.
    #[must_use]
    pub fn answer_number(&self) -> u32 {
        self.number + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_jobs_with_other_prefixes() {
        let mut minter = Minter::after(None);
        let id = ConversationId::mint(&mut minter, Time::from_millis(5), 7);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().starts_with("conv_0000"));
        assert!(ConversationId::mint(&mut minter, Time::from_millis(4), 7) > id);
        assert_eq!(id.to_string().replace("conv_", "msg_").parse::<ConversationId>(), Err(IdError));
        assert_eq!(id.concurrency_key().as_str(), format!("conversation:{id}"));
    }

    #[test]
    fn an_answer_says_how_its_job_ended() {
        let job = Minter::after(None).mint(Time::EPOCH, 1);
        let ended = |outcome: &Outcome, reply: Option<&Json>| {
            let mut message = Message::awaited(MessageId::at(Time::EPOCH, 2), 2, job, Time::EPOCH);
            message.end(outcome, reply, Time::from_millis(5));
            (message.state, message.content)
        };
        let (result, reply) = (Json::from(serde_json::json!(1)), Json::from(serde_json::json!(2)));
        let completed = Outcome::Completed(result.clone());
        assert_eq!(ended(&completed, None), (MessageState::Completed, Some(result)));
        assert_eq!(ended(&completed, Some(&reply)), (MessageState::Completed, Some(reply.clone())));
        assert_eq!(ended(&Outcome::Expired, Some(&reply)), (MessageState::Expired, None));
    }
}
