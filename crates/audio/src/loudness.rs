//! Integrated loudness (ITU-R BS.1770-4, EBU R 128).

use ebur128::{EbuR128, Mode};

/// Measures the integrated loudness of one file.
pub(crate) struct Loudness(Option<EbuR128>);

impl Loudness {
    /// A rate or a number of channels that the standard's filters do not cover measures nothing.
    pub(crate) fn new(sample_rate: u32, channels: u16) -> Self {
        Self(EbuR128::new(u32::from(channels), sample_rate, Mode::I).ok())
    }

    pub(crate) fn add(&mut self, samples: &[f32]) {
        if let Some(meter) = &mut self.0
            && meter.add_frames_f32(samples).is_err()
        {
            self.0 = None;
        }
    }

    /// LUFS, unless there was less than one gating block of 400 ms or nothing above the gate.
    pub(crate) fn finish(&self) -> Option<f64> {
        self.0.as_ref()?.loudness_global().ok().filter(|lufs| lufs.is_finite())
    }
}
