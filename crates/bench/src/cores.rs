//! Which cores a process runs on, so that what is compared has the same ones and none of those that the measuring takes.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::failure::Fallible;

/// The machine's cores in two parts. With one core both parts are the same.
pub(crate) struct Cores {
    /// For what is measured.
    pub(crate) subjects: Vec<usize>,
    /// For what it takes to measure.
    pub(crate) others: Vec<usize>,
}

impl Cores {
    /// Divides the cores that this process may use; it runs on the others from now on, and so does what it starts.
    pub(crate) fn divide() -> Fallible<Self> {
        let all = sched_getaffinity(None)?;
        let all: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).collect();
        let (others, subjects) = match all.split_at(all.len().div_ceil(2)) {
            (one, []) => (one, one),
            halves => halves,
        };
        let cores = Self { subjects: subjects.to_vec(), others: others.to_vec() };
        stay_on(&cores.others)?;
        Ok(cores)
    }

    /// Starts something that runs on the cores of what is measured: a process runs where the thread ran that started it.
    pub(crate) async fn on_subjects<T>(&self, starting: impl Future<Output = Fallible<T>>) -> Fallible<T> {
        stay_on(&self.subjects)?;
        let started = starting.await;
        stay_on(&self.others)?;
        started
    }

    /// In half a sentence.
    pub(crate) fn told(&self) -> String {
        format!("gateways on core {:?}, simulator and load on core {:?}", self.subjects, self.others)
    }
}

fn stay_on(cores: &[usize]) -> Fallible<()> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    Ok(sched_setaffinity(None, &set)?)
}
