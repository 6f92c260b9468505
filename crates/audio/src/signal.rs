//! How the audio sounds, in numbers: level, loudness, clipping, silence, noise.

use crate::loudness::Loudness;
use serde::{Deserialize, Serialize};

/// Frames quieter than this are silence, in dBFS.
pub(crate) const SILENCE_DBFS: f64 = -50.0;

/// A file whose peak stays below this is `silent`: -60 dBFS.
pub(crate) const SILENT_PEAK: f64 = 0.001;

/// A file with at least this part of its samples at full scale, and at least [`CLIPPED_SAMPLES`], is `clipped`.
pub(crate) const CLIPPED_RATIO: f64 = 1e-4;

/// See [`CLIPPED_RATIO`]; normalised files touch full scale once or twice.
pub(crate) const CLIPPED_SAMPLES: u64 = 3;

/// Frame levels are kept in a histogram of this step, in dB: bounded memory for any length of audio.
const LEVEL_STEP_DB: f64 = 0.1;

/// The quietest level told apart, in dBFS; digital silence counts as this.
const LEVEL_FLOOR_DB: f64 = -120.0;

/// Steps from the floor to +20 dBFS (floats may exceed full scale).
const LEVELS: usize = 1401;

/// What the whole file sounds like. All levels relate to digital full scale: a square wave of full scale has 0 dBFS RMS.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// Integrated loudness in LUFS (ITU-R BS.1770-4, EBU R 128); `None` under 400 ms and when all of it is gated as silence.
    pub lufs: Option<f64>,
    /// Root mean square over all channels, in dBFS; `None` for digital silence.
    pub rms_dbfs: Option<f64>,
    /// Greatest absolute sample, 1.0 = full scale.
    pub peak: f64,
    /// Part of all samples that stands at full scale.
    pub clipping_ratio: f64,
    /// Mean of all samples.
    pub dc_offset: f64,
    /// Part of the 10 ms frames below -50 dBFS.
    pub silence_ratio: f64,
    /// Silence at the start, in seconds, to 10 ms.
    pub leading_silence_s: f64,
    /// Silence at the end, in seconds, to 10 ms.
    pub trailing_silence_s: f64,
    /// Estimated signal-to-noise ratio in dB: 90th minus 10th percentile of the levels of 10 ms frames.
    pub snr_db: Option<f64>,
    /// Characters of the normalised transcript per second of audio; extreme values point to wrong transcripts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chars_per_second: Option<f64>,
}

/// Takes samples in any portions and measures in one pass with fixed memory.
pub(crate) struct Meter {
    loudness: Loudness,
    full_scale: f32,
    /// Samples (not frames) in 10 ms.
    frame_samples: usize,
    frame: Tally,
    frame_filled: usize,
    total: Totals,
    levels: Box<[u32; LEVELS]>,
    frames: Frames,
}

#[derive(Default)]
struct Totals {
    samples: u64,
    sum: f64,
    squares: f64,
    peak: f32,
    clipped: u64,
}

#[derive(Default)]
struct Frames {
    all: u64,
    silent: u64,
    leading: u64,
    trailing: u64,
}

impl Meter {
    /// A meter for interleaved samples; `full_scale` is the greatest value the source can hold.
    pub(crate) fn new(sample_rate: u32, channels: u16, full_scale: f32) -> Self {
        let frame_samples = (sample_rate as usize / 100).max(1) * usize::from(channels.max(1));
        Self {
            loudness: Loudness::new(sample_rate, channels),
            full_scale,
            frame_samples,
            frame: Tally::default(),
            frame_filled: 0,
            total: Totals::default(),
            levels: Box::new([0; LEVELS]),
            frames: Frames::default(),
        }
    }

    /// Measures whole frames of interleaved samples.
    pub(crate) fn add(&mut self, mut samples: &[f32]) {
        self.loudness.add(samples);
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(self.frame_samples - self.frame_filled));
            self.frame.add(now, self.full_scale);
            self.frame_filled += now.len();
            if self.frame_filled == self.frame_samples {
                self.close_frame();
            }
            samples = later;
        }
    }

    fn close_frame(&mut self) {
        let tally = std::mem::take(&mut self.frame);
        let level = decibels(f64::from(tally.squares) / self.frame_filled as f64).unwrap_or(LEVEL_FLOOR_DB);
        self.total.add(&tally, self.frame_filled);
        self.frame_filled = 0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the histogram")]
        let step = ((level - LEVEL_FLOOR_DB) / LEVEL_STEP_DB).clamp(0.0, (LEVELS - 1) as f64) as usize;
        self.levels[step] = self.levels[step].saturating_add(1);
        let frames = &mut self.frames;
        if level < SILENCE_DBFS {
            frames.leading += u64::from(frames.silent == frames.all);
            frames.silent += 1;
            frames.trailing += 1;
        } else {
            frames.trailing = 0;
        }
        frames.all += 1;
    }

    /// The result; an incomplete last frame counts as a frame only if it is the only one.
    pub(crate) fn finish(mut self) -> Signal {
        if self.frame_filled > 0 && self.frames.all == 0 {
            self.close_frame();
        } else if self.frame_filled > 0 {
            let tally = std::mem::take(&mut self.frame);
            self.total.add(&tally, self.frame_filled);
        }
        let total = &self.total;
        if total.samples == 0 {
            return Signal::default();
        }
        let count = total.samples as f64;
        let frames = self.frames.all.max(1) as f64;
        Signal {
            lufs: self.loudness.finish().map(|lufs| round(lufs, 3)),
            rms_dbfs: decibels(total.squares / count).map(|level| round(level, 3)),
            peak: round(f64::from(total.peak), 6),
            clipping_ratio: round(total.clipped as f64 / count, 6),
            dc_offset: round(total.sum / count, 6),
            silence_ratio: round(self.frames.silent as f64 / frames, 4),
            leading_silence_s: round(self.frames.leading as f64 / 100.0, 2),
            trailing_silence_s: round(self.frames.trailing as f64 / 100.0, 2),
            snr_db: self.spread().map(|spread| round(spread, 1)),
            chars_per_second: None,
        }
    }

    /// Samples at full scale so far.
    pub(crate) fn clipped(&self) -> u64 {
        self.total.clipped + self.frame.clipped
    }

    fn spread(&self) -> Option<f64> {
        (self.frames.all >= 2).then(|| (self.percentile(0.9) - self.percentile(0.1)) * LEVEL_STEP_DB)
    }

    /// The step below which `part` of all frames lie.
    fn percentile(&self, part: f64) -> f64 {
        let wanted = part * self.frames.all as f64;
        let mut below = 0.0;
        for (step, count) in self.levels.iter().enumerate() {
            below += f64::from(*count);
            if below >= wanted {
                return step as f64;
            }
        }
        (LEVELS - 1) as f64
    }
}

impl Totals {
    fn add(&mut self, tally: &Tally, samples: usize) {
        self.samples += samples as u64;
        self.sum += f64::from(tally.sum);
        self.squares += f64::from(tally.squares);
        self.peak = self.peak.max(tally.peak);
        self.clipped += tally.clipped;
    }
}

/// Sums over at most one frame, which `f32` holds precisely enough.
#[derive(Default)]
struct Tally {
    sum: f32,
    squares: f32,
    peak: f32,
    clipped: u64,
}

impl Tally {
    /// Eight independent lanes, so that the compiler can use vector instructions.
    fn add(&mut self, samples: &[f32], full_scale: f32) {
        const LANES: usize = 8;
        let (mut sum, mut squares, mut peak, mut clipped) =
            ([0.0_f32; LANES], [0.0_f32; LANES], [0.0_f32; LANES], [0_u32; LANES]);
        let (lanes, rest) = samples.as_chunks::<LANES>();
        for lane in lanes {
            for at in 0..LANES {
                let sample = lane[at];
                sum[at] += sample;
                squares[at] += sample * sample;
                let size = sample.abs();
                peak[at] = if size > peak[at] { size } else { peak[at] };
                clipped[at] += u32::from(sample >= full_scale) | u32::from(sample <= -1.0);
            }
        }
        for sample in rest {
            sum[0] += sample;
            squares[0] += sample * sample;
            peak[0] = peak[0].max(sample.abs());
            clipped[0] += u32::from(*sample >= full_scale || *sample <= -1.0);
        }
        self.sum += sum.iter().sum::<f32>();
        self.squares += squares.iter().sum::<f32>();
        self.peak = peak.iter().fold(self.peak, |most, lane| most.max(*lane));
        self.clipped += clipped.iter().map(|lane| u64::from(*lane)).sum::<u64>();
    }
}

fn decibels(mean_square: f64) -> Option<f64> {
    (mean_square > 0.0).then(|| 10.0 * mean_square.log10())
}

/// Rounded to `digits` decimals, so that manifests stay small and comparable.
pub(crate) fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::Meter;

    fn sine(seconds: f64, amplitude: f64) -> Vec<f32> {
        let rate = 24_000.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test signal")]
        (0..(seconds * rate) as usize).map(|at| (amplitude * (at as f64 * 0.1).sin()) as f32).collect()
    }

    #[test]
    fn a_sine_between_silences_is_measured() {
        let mut meter = Meter::new(24_000, 1, 1.0);
        let samples = [vec![0.0; 12_000], sine(1.0, 0.5), vec![0.0; 6_000]].concat();
        for portion in samples.chunks(777) {
            meter.add(portion);
        }
        let signal = meter.finish();
        assert!((signal.rms_dbfs.expect("rms") - (-9.03 - 2.43)).abs() < 0.05, "{signal:?}");
        assert!((signal.peak - 0.5).abs() < 1e-4);
        assert_eq!((signal.leading_silence_s, signal.trailing_silence_s), (0.5, 0.25));
        assert!((signal.silence_ratio - 75.0 / 175.0).abs() < 0.001);
        assert!(signal.snr_db.expect("snr") > 100.0);
        assert!(signal.lufs.is_some());
    }

    #[test]
    fn no_audio_and_short_audio_have_no_loudness() {
        assert_eq!(Meter::new(24_000, 1, 1.0).finish(), super::Signal::default());
        let mut meter = Meter::new(24_000, 1, 1.0);
        meter.add(&sine(0.399, 0.5));
        assert_eq!(meter.finish().lufs, None);
    }

    #[test]
    fn samples_at_full_scale_are_counted() {
        let mut meter = Meter::new(8_000, 1, 0.9);
        meter.add(&[0.9, -1.0, 0.89, 0.0, 0.5, 0.1, 0.2, 0.3, 1.0]);
        assert_eq!(meter.clipped(), 3);
    }
}
