use async_trait::async_trait;
use raincheck_core::Json;
use raincheck_engine::{About, Context, Failure, Handler};

/// `echo`, a diagnostics kind: gives its input back as the result. For trying out clients and measuring the server.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Echo {
    pub(crate) fn described() -> About {
        let kind = "echo".parse().expect("a constant name");
        let summary = "Diagnostics: gives its input back as the result.";
        About { concurrency: 1_024, ..About::new(kind, summary, serde_json::json!(true).into()) }
    }
}

#[async_trait]
impl Handler for Echo {
    fn about(&self) -> About {
        Self::described()
    }

    async fn run(&self, _context: Context, input: Json) -> Result<Json, Failure> {
        Ok(input)
    }
}
