//! The gate of EBU R 128: what is much quieter than the rest does not count.

use std::collections::VecDeque;

/// Gating blocks that are remembered: 11 days of audio; what follows does not count. 8 bytes of memory each.
const MAX_BLOCKS: usize = 10_000_000;

/// Tenths of a second in a gating block; blocks start every tenth.
const STEPS: usize = 4;

/// The offset of the standard's scale, in LU.
const OFFSET: f64 = 0.691;

/// Blocks more than this many LU below the mean do not count.
const RELATIVE_GATE: f64 = 10.0;

/// Blocks below this do not count at all, in LUFS.
const ABSOLUTE_GATE: f64 = -70.0;

/// Collects the energies of tenths of a second.
#[derive(Default)]
pub(super) struct Gate {
    latest: VecDeque<f64>,
    /// Mean energies of the blocks above the absolute gate.
    blocks: Vec<f64>,
}

impl Gate {
    /// The mean energy of the next tenth of a second.
    pub(super) fn add(&mut self, energy: f64) {
        self.latest.push_back(energy);
        if self.latest.len() < STEPS {
            return;
        }
        let block = self.latest.iter().sum::<f64>() / STEPS as f64;
        self.latest.pop_front();
        if block >= 10_f64.powf((ABSOLUTE_GATE + OFFSET) / 10.0) && self.blocks.len() < MAX_BLOCKS {
            self.blocks.push(block);
        }
    }

    /// The loudness of what counts, in LUFS.
    pub(super) fn loudness(&self) -> Option<f64> {
        let threshold = mean(self.blocks.iter().copied())? / 10_f64.powf(RELATIVE_GATE / 10.0);
        let energy = mean(self.blocks.iter().copied().filter(|block| *block >= threshold))?;
        Some(10.0 * energy.log10() - OFFSET).filter(|lufs| lufs.is_finite())
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0_u64, 0.0), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then(|| sum / count as f64)
}
