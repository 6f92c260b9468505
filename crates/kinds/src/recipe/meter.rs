use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raincheck_core::{Json, Kind, Progress};
use raincheck_engine::{Context, Listener};
use raincheck_recipes::Step;
use serde_json::{Value, json};

use crate::llm;

/// How far a recipe is, put together from how far its steps are.
pub(super) struct Meter {
    context: Context,
    /// How far each step is, from 0 to 1; of a loop each item.
    steps: Mutex<Vec<Vec<f64>>>,
}

/// Hears one step, or one item of a loop.
pub(super) struct Ear {
    meter: Arc<Meter>,
    step: usize,
    item: usize,
    name: String,
    /// Whether it calls a language model, which puts out its answer piece by piece.
    is_model: bool,
    stream: bool,
}

impl Meter {
    pub(super) fn new(context: Context, steps: usize) -> Arc<Self> {
        Arc::new(Self { context, steps: Mutex::new(vec![vec![0.0]; steps]) })
    }

    /// Hears what a step says while it does work of this kind.
    pub(super) fn ear(self: &Arc<Self>, at: usize, item: usize, step: &Step, kind: &Kind) -> Arc<Ear> {
        let is_model = kind.as_str().starts_with("llm.");
        Arc::new(Ear {
            meter: Arc::clone(self),
            step: at,
            item,
            name: step.name.clone(),
            is_model,
            stream: step.stream,
        })
    }

    /// The step is a loop over so many items.
    pub(super) fn items(&self, at: usize, count: usize) {
        self.steps()[at] = vec![0.0; count.max(1)];
    }

    /// Something is done of which there is only to say what.
    pub(super) fn say(&self, message: &str) {
        self.context.progress(self.whole(Progress::percent(0.0, message), false));
    }

    /// An item of a step has ended.
    pub(super) fn ended(&self, at: usize, item: usize) {
        self.steps()[at][item] = 1.0;
        self.context.progress(self.whole(Progress::default(), false));
    }

    /// A whole step has ended.
    pub(super) fn done(&self, at: usize) {
        self.steps()[at] = vec![1.0];
        self.context.progress(self.whole(Progress::default(), false));
    }

    /// How far the whole is. The counts of a step are those of the whole only if it is all there is.
    fn whole(&self, progress: Progress, is_own: bool) -> Progress {
        let steps = self.steps();
        if is_own && steps.len() == 1 && steps[0].len() == 1 {
            return progress;
        }
        #[expect(clippy::cast_precision_loss, reason = "a hundred steps of a thousand items at most")]
        let mean = |parts: &[f64]| parts.iter().sum::<f64>() / parts.len() as f64;
        let each: Vec<f64> = steps.iter().map(|items| mean(items)).collect();
        Progress::percent((mean(&each) * 1e4).floor() / 1e2, progress.message)
    }

    fn steps(&self) -> MutexGuard<'_, Vec<Vec<f64>>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Ear {
    fn progress(&self, progress: Progress) -> Progress {
        if let Some(share) = self.meter.steps()[self.step].get_mut(self.item) {
            *share = share.max((progress.percent / 100.0).clamp(0.0, 1.0));
        }
        self.meter.whole(progress, true)
    }

    /// Of what a language model says, its text, and that only if the step is to be followed; of others everything.
    fn output(&self, output: Json) -> Option<Json> {
        if !self.is_model {
            let output: Value = output.parse().ok()?;
            return Some(json!({ "step": self.name, "output": output }).into());
        }
        let event: Value = if self.stream { output.parse().ok()? } else { return None };
        let text = llm::text_of(&event).filter(|text| !text.is_empty())?;
        Some(json!({ "step": self.name, "text": text }).into())
    }
}
