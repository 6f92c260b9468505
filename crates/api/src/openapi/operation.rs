use std::collections::BTreeMap;

use raincheck_core::ProblemType;
use raincheck_store::Scope;
use serde_json::{Value, json};

use crate::problem::{PROBLEM_JSON, status};

/// Problems that any request may meet.
const ANY: [ProblemType; 6] = [
    ProblemType::MALFORMED_REQUEST,
    ProblemType::FORBIDDEN,
    ProblemType::METHOD_NOT_ALLOWED,
    ProblemType::INTERNAL,
    ProblemType::OVERLOADED,
    ProblemType::SHUTTING_DOWN,
];
/// Problems that a request with a body may meet.
const WITH_BODY: [ProblemType; 4] = [
    ProblemType::BODY_TOO_LARGE,
    ProblemType::UNSUPPORTED_MEDIA_TYPE,
    ProblemType::REQUEST_TIMEOUT,
    ProblemType::INVALID_REQUEST,
];
/// Problems that a request which changes something may meet.
const WITH_CHANGE: [ProblemType; 2] = [ProblemType::STORAGE_FULL, ProblemType::OUTCOME_UNKNOWN];

/// One method of one path, as the document describes it.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    id: &'static str,
    summary: &'static str,
    scope: Option<Scope>,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: BTreeMap<u16, Value>,
    problems: Vec<ProblemType>,
}

impl Operation {
    pub(super) fn new(method: &'static str, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        let problems = if method == "get" { ANY.to_vec() } else { [&ANY[..], &WITH_CHANGE].concat() };
        let (parameters, answers) = (Vec::new(), BTreeMap::new());
        Self { method, path, id, summary, scope: None, parameters, body: None, answers, problems }
    }

    /// It needs a key with this scope.
    pub(super) fn scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self.problems.push(ProblemType::UNAUTHENTICATED);
        self
    }

    /// It is about the thing that this part of the path names.
    pub(super) fn of(self, name: &'static str, pattern: &str, description: &str) -> Self {
        let schema = json!({ "type": "string", "pattern": pattern });
        self.parameter("path", true, name, schema, description).problems(&[ProblemType::NOT_FOUND])
    }

    /// It looks at this part of the query.
    pub(super) fn query(self, name: &str, schema: Value, description: &str) -> Self {
        self.parameter("query", false, name, schema, description)
    }

    /// It does nothing without this part of the query.
    pub(super) fn needed_query(self, name: &str, schema: Value, description: &str) -> Self {
        self.parameter("query", true, name, schema, description)
    }

    /// It looks at this header.
    pub(super) fn header(self, name: &str, schema: Value, description: &str) -> Self {
        self.parameter("header", false, name, schema, description)
    }

    fn parameter(mut self, place: &str, required: bool, name: &str, schema: Value, description: &str) -> Self {
        let mut parameter = json!({ "name": name, "in": place, "required": required, "description": description });
        parameter["schema"] = schema;
        self.parameters.push(parameter);
        self
    }

    /// It reads this.
    pub(super) fn body(mut self, schema: &str, required: bool, examples: Value) -> Self {
        let mut media = json!({ "schema": reference(schema) });
        media["examples"] = examples;
        self.body = Some(json!({ "required": required, "content": { "application/json": media } }));
        self.problems(&WITH_BODY)
    }

    /// It answers with JSON of this schema.
    pub(super) fn answer(self, status: u16, schema: &str, description: &str) -> Self {
        self.answer_with(
            status,
            json!({
                "description": description,
                "content": { "application/json": { "schema": reference(schema) } },
            }),
        )
    }

    /// It answers so.
    pub(super) fn answer_with(mut self, status: u16, answer: Value) -> Self {
        self.answers.insert(status, answer);
        self
    }

    /// The answers with a job so far say what can be done with it next.
    pub(super) fn links(mut self) -> Self {
        let link = |operation: &str| json!({ "operationId": operation, "parameters": { "id": "$response.body#/id" } });
        let names = ["getJob", "getResult", "getEvents", "cancelJob", "retryJob", "deleteJob"];
        let links: serde_json::Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), link(name))).collect();
        self.answers.values_mut().for_each(|answer| answer["links"] = json!(links));
        self
    }

    /// The answers so far carry this header.
    pub(super) fn replies_header(mut self, name: &str, description: &str) -> Self {
        for answer in self.answers.values_mut() {
            answer["headers"][name] = json!({ "schema": { "type": "string" }, "description": description });
        }
        self
    }

    /// It may meet these problems, too.
    pub(super) fn problems(mut self, problems: &[ProblemType]) -> Self {
        self.problems.extend_from_slice(problems);
        self
    }

    /// The operation as OpenAPI has it.
    pub(super) fn document(mut self, keyless: bool) -> Value {
        for problem in &self.problems {
            let code = status(problem.class).as_u16();
            let answer = self.answers.entry(code).or_insert_with(|| problem_answer(code));
            // A status whose answer was described above is not that of a problem alone.
            if let Some(Value::String(description)) = answer.get_mut("description") {
                let separator = if description.is_empty() { "" } else { "; " };
                description.push_str(&format!("{separator}`{}`: {}", problem.name, problem.title));
            }
        }
        let mut security = Vec::new();
        if let Some(scope) = self.scope {
            security.push(json!({ "key": [scope.as_str()] }));
            if keyless {
                security.push(json!({}));
            }
        }
        let mut operation = json!({
            "operationId": self.id,
            "summary": self.summary,
            "security": security,
            "responses": self.answers,
        });
        if !self.parameters.is_empty() {
            operation["parameters"] = self.parameters.into();
        }
        if let Some(body) = self.body {
            operation["requestBody"] = body;
        }
        operation
    }
}

fn problem_answer(code: u16) -> Value {
    let mut answer = json!({ "description": "", "content": { PROBLEM_JSON: { "schema": reference("Problem") } } });
    if matches!(code, 409 | 429 | 503) {
        let header = json!({ "schema": { "type": "integer" }, "description": "When to come back, in seconds." });
        answer["headers"]["Retry-After"] = header;
    }
    answer
}

pub(super) fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}
