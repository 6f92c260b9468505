use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raincheck_core::{Json, Kind, Progress};
use raincheck_engine::{Context, Listener};
use raincheck_recipes::Step;
use serde_json::{Value, json};

use crate::llm;

/// How far a recipe is, put together from how far its steps are.
pub(super) struct Meter {
    context: Context,
    dial: Mutex<Dial>,
}

/// What was heard so far.
struct Dial {
    /// How far each step is, from 0 to 1; of a loop each item.
    steps: Vec<Vec<f64>>,
    /// What was last said to be done.
    message: String,
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
        let dial = Dial { steps: vec![vec![0.0]; steps], message: String::new() };
        Arc::new(Self { context, dial: Mutex::new(dial) })
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
        self.dial().steps[at] = vec![0.0; count.max(1)];
    }

    /// Something is done of which there is only to say what.
    pub(super) fn say(&self, message: &str) {
        self.tell(&mut self.dial(), message);
    }

    /// An item of a step has ended.
    pub(super) fn ended(&self, at: usize, item: usize) {
        let mut dial = self.dial();
        dial.steps[at][item] = 1.0;
        self.tell(&mut dial, "");
    }

    /// A whole step has ended.
    pub(super) fn done(&self, at: usize) {
        let mut dial = self.dial();
        dial.steps[at] = vec![1.0];
        // Of the only one its own last words stay: with it the job ends.
        if dial.steps.len() > 1 {
            self.tell(&mut dial, "");
        }
    }

    /// A part of a step is so far. The counts of a step are those of the whole only if it is all there is.
    fn hear(&self, at: usize, item: usize, progress: &Progress) -> Progress {
        let mut dial = self.dial();
        if let [only] = &dial.steps[..]
            && only.len() == 1
        {
            let message = dial.said(&progress.message);
            let Progress { percent, current, total, .. } = *progress;
            return Progress { percent, current, total, message };
        }
        if let Some(share) = dial.steps[at].get_mut(item) {
            *share = share.max((progress.percent / 100.0).clamp(0.0, 1.0));
        }
        dial.whole(&progress.message)
    }

    /// Tells how far the whole is. While the dial is held, so that nothing older is told after it.
    fn tell(&self, dial: &mut Dial, message: &str) {
        self.context.progress(dial.whole(message));
    }

    fn dial(&self) -> MutexGuard<'_, Dial> {
        self.dial.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dial {
    /// What there is to say: what was last said, if that is nothing new.
    fn said(&mut self, message: &str) -> String {
        if !message.is_empty() {
            message.clone_into(&mut self.message);
        }
        self.message.clone()
    }

    /// How far the whole is.
    fn whole(&mut self, message: &str) -> Progress {
        let message = self.said(message);
        Progress::percent(self.percent(), message)
    }

    #[expect(clippy::cast_precision_loss, reason = "a hundred steps of a thousand items at most")]
    fn percent(&self) -> f64 {
        let mean = |parts: &[f64]| parts.iter().sum::<f64>() / parts.len() as f64;
        let each: Vec<f64> = self.steps.iter().map(|items| mean(items)).collect();
        (mean(&each) * 1e4).floor() / 1e2
    }
}

impl Listener for Ear {
    fn progress(&self, progress: Progress) -> Progress {
        self.meter.hear(self.step, self.item, &progress)
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
