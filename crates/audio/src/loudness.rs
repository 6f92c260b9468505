//! Integrated loudness (ITU-R BS.1770-4, EBU R 128), as the `ebur128` crate computes it: the tests hold the two equal.
//!
//! It is computed here because it is most of the work of a full scan, and a recursive filter waits for itself: each sample needs
//! the result of the one before. So four stretches of the audio are filtered side by side. Each starts a tenth of a second
//! early, after which the filter has forgotten (to one part in 10^9) that it did not start at the beginning.

mod gate;
mod weighting;

use gate::Gate;
use weighting::{LANES, Weighting};

/// Rates that are measured, in frames per second.
const RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;

/// Channels that are measured; most of the standard's layouts end at 6, its largest at 24.
const MAX_CHANNELS: u16 = 24;

/// Tenths of a second that are gathered before they are filtered: long stretches waste little on their early start.
const BLOCKS_GATHERED: usize = 32;

/// Samples of all channels that are gathered at most, whatever the rate.
const MAX_SAMPLES_GATHERED: usize = 1 << 20;

/// Measures the integrated loudness of one file.
pub(crate) struct Loudness(Option<State>);

struct State {
    weighting: Weighting,
    /// Frames in a tenth of a second.
    block: usize,
    channels: Vec<Channel>,
    /// Tenths of a second that are gathered before they are filtered.
    gathered: usize,
    gate: Gate,
}

struct Channel {
    /// How much the standard lets this direction count.
    weight: f64,
    /// The block before, then what is not filtered yet.
    samples: Vec<f32>,
    filter: weighting::Memory,
}

impl Loudness {
    /// A rate or a number of channels that the standard's filters do not cover measures nothing.
    pub(crate) fn new(sample_rate: u32, channels: u16) -> Self {
        if !RATES.contains(&sample_rate) || !(1..=MAX_CHANNELS).contains(&channels) {
            return Self(None);
        }
        let block = (sample_rate as usize + 5) / 10;
        let channel = |weight| Channel { weight, samples: vec![0.0; block], filter: weighting::Memory::default() };
        let gathered = (MAX_SAMPLES_GATHERED / (block * usize::from(channels))).clamp(LANES, BLOCKS_GATHERED);
        Self(Some(State {
            weighting: Weighting::new(sample_rate),
            block,
            channels: (0..channels).map(|at| channel(weight(at, channels))).collect(),
            gathered,
            gate: Gate::default(),
        }))
    }

    /// Takes whole frames of interleaved samples.
    pub(crate) fn add(&mut self, samples: &[f32]) {
        let Some(state) = &mut self.0 else { return };
        let frame = state.channels.len();
        // In portions, so that no more is gathered than was said.
        for portion in samples.chunks(state.block * state.gathered * frame) {
            if let [channel] = &mut state.channels[..] {
                channel.samples.extend_from_slice(portion);
            } else {
                for (at, channel) in state.channels.iter_mut().enumerate() {
                    channel.samples.extend(portion.iter().skip(at).step_by(frame));
                }
            }
            if state.waiting() >= state.gathered {
                state.filter(state.waiting() / LANES * LANES);
            }
        }
    }

    /// LUFS, unless there was less than one gating block of 400 ms or nothing above the gate.
    pub(crate) fn finish(&mut self) -> Option<f64> {
        let state = self.0.as_mut()?;
        // What is left of less than a tenth of a second belongs to no gating block.
        state.filter(state.waiting());
        state.gate.loudness()
    }
}

impl State {
    /// Whole blocks that are not filtered yet.
    fn waiting(&self) -> usize {
        self.channels.first().map_or(0, |channel| channel.samples.len() / self.block - 1)
    }

    /// Filters `blocks` blocks of every channel and gates their energies.
    fn filter(&mut self, blocks: usize) {
        let mut energies = vec![0.0; blocks];
        for channel in self.channels.iter_mut().filter(|channel| channel.weight > 0.0) {
            channel.filter(&self.weighting, self.block, channel.weight, &mut energies);
        }
        for channel in &mut self.channels {
            channel.samples.drain(..blocks * self.block);
        }
        for energy in energies {
            self.gate.add(energy / self.block as f64);
        }
    }
}

impl Channel {
    /// Adds the energy of each block to `energies`: as many as possible in lanes, the rest one after the other.
    fn filter(&mut self, weighting: &Weighting, block: usize, weight: f64, energies: &mut [f64]) {
        let per_lane = energies.len() / LANES;
        if per_lane > 0 {
            let of = |at: usize| &self.samples[at * block..(at + 1) * block];
            let mut lanes = weighting::Lanes::default();
            // `of(n)` is the block before the nth that waits.
            weighting.run(&mut lanes, std::array::from_fn(|lane| of(lane * per_lane)));
            lanes.set(0, &self.filter);
            for at in 0..per_lane {
                let sums = weighting.run(&mut lanes, std::array::from_fn(|lane| of(lane * per_lane + at + 1)));
                for (lane, sum) in sums.iter().enumerate() {
                    energies[lane * per_lane + at] += sum * weight;
                }
            }
            self.filter = lanes.get(LANES - 1);
        }
        for (at, energy) in energies.iter_mut().enumerate().skip(per_lane * LANES) {
            *energy += weighting.run_one(&mut self.filter, &self.samples[(at + 1) * block..(at + 2) * block]) * weight;
        }
    }
}

/// The weight of a channel in the order of WAV files; channels without a place in the standard do not count.
const fn weight(at: u16, channels: u16) -> f64 {
    match (channels, at) {
        (4, 2 | 3) | (5, 3 | 4) => 1.41,
        (4 | 5, _) | (_, 0..=2) => 1.0,
        (_, 4 | 5) => 1.41,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::Loudness;
    use crate::fixtures::{Dice, speech};
    use ebur128::{EbuR128, Mode};
    use proptest::prelude::{ProptestConfig, any, prop, proptest};

    fn theirs(rate: u32, channels: u16, samples: &[f32]) -> f64 {
        let mut meter = EbuR128::new(u32::from(channels), rate, Mode::I).expect("a meter");
        meter.add_frames_f32(samples).expect("samples");
        meter.loudness_global().expect("loudness")
    }

    fn ours(rate: u32, channels: u16, samples: &[f32], portion: usize) -> Option<f64> {
        let mut meter = Loudness::new(rate, channels);
        for portion in samples.chunks(portion * usize::from(channels)) {
            meter.add(portion);
        }
        meter.finish()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn equals_the_reference(
            seed: u64,
            rate in prop::sample::select(vec![8_000_u32, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000]),
            channels in 1_u16..=7,
            ms in 0_usize..6_000,
            portion in 1_usize..70_000,
            loudness in 0.00001_f32..1.5,
            pause in any::<bool>(),
        ) {
            let frames = rate as usize * ms / 1_000;
            let mut dice = Dice::new(seed);
            let mut samples: Vec<f32> = speech(&mut dice, rate, frames * usize::from(channels)).iter().map(|sample| sample * loudness + 0.1 * loudness).collect();
            if pause {
                let middle = samples.len() / 2;
                samples[middle / 2..middle].fill(0.0);
            }
            match ours(rate, channels, &samples, portion) {
                Some(lufs) => assert!((lufs - theirs(rate, channels, &samples)).abs() < 1e-5, "{lufs} {}", theirs(rate, channels, &samples)),
                None => assert!(!theirs(rate, channels, &samples).is_finite() || frames < rate as usize * 4 / 10),
            }
        }
    }

    #[test]
    fn a_sine_has_the_loudness_that_the_standard_says() {
        // BS.1770: 0 dBFS at 997 Hz in one channel is -3.01 LUFS.
        #[expect(clippy::cast_possible_truncation, reason = "a test signal")]
        let sine: Vec<f32> =
            (0..480_000).map(|at| (f64::from(at) * 997.0 * std::f64::consts::TAU / 48_000.0).sin() as f32).collect();
        assert!((ours(48_000, 1, &sine, 1_000).expect("loudness") + 3.01).abs() < 0.01);
    }

    #[test]
    fn silence_and_strange_formats_have_none() {
        assert_eq!(ours(24_000, 1, &[0.0; 100_000], 5_000), None);
        assert_eq!(ours(0, 1, &[0.5; 1_000], 10), None);
        assert_eq!(ours(48_000, 64, &[0.5; 6_400], 10), None);
    }
}
