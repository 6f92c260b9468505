//! The K-weighting filter of ITU-R BS.1770: a shelf for the head, a high-pass for how we hear.

/// Stretches of audio that are filtered side by side: enough to keep the processor busy while each waits for itself.
pub(super) const LANES: usize = 4;

/// Added to every sample. It is inaudible by 600 dB and removed by the filter, but keeps what the filter remembers of silence
/// from becoming denormal numbers, with which processors are a hundred times slower.
const BIAS: f64 = 1e-30;

/// The filter's coefficients for one rate: both stages as one of fourth order.
pub(super) struct Weighting {
    b: [f64; 5],
    a: [f64; 5],
}

/// What the filter remembers of one stretch: its last four inner values.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Memory([f64; 4]);

/// What the filter remembers of stretches side by side.
#[derive(Debug, Default)]
pub(super) struct Lanes([[f64; LANES]; 4]);

impl Lanes {
    pub(super) fn set(&mut self, lane: usize, memory: &Memory) {
        for (values, value) in self.0.iter_mut().zip(memory.0) {
            values[lane] = value;
        }
    }

    pub(super) fn get(&self, lane: usize) -> Memory {
        Memory(self.0.map(|values| values[lane]))
    }
}

impl Weighting {
    /// The analogue prototypes of the standard's filters, by bilinear transform; at 48 kHz its tables.
    pub(super) fn new(sample_rate: u32) -> Self {
        let rate = f64::from(sample_rate);
        let (frequency, gain, quality) = (1_681.974_450_955_533, 3.999_843_853_973_347, 0.707_175_236_955_419_6);
        let k = (std::f64::consts::PI * frequency / rate).tan();
        let high = 10_f64.powf(gain / 20.0);
        let band = high.powf(0.499_666_774_154_541_6);
        let norm = 1.0 + k / quality + k * k;
        let shelf_b = [
            (high + band * k / quality + k * k) / norm,
            2.0 * (k * k - high) / norm,
            (high - band * k / quality + k * k) / norm,
        ];
        let shelf_a = [1.0, 2.0 * (k * k - 1.0) / norm, (1.0 - k / quality + k * k) / norm];

        let (frequency, quality) = (38.135_470_876_024_44, 0.500_327_037_323_877_3);
        let k = (std::f64::consts::PI * frequency / rate).tan();
        let norm = 1.0 + k / quality + k * k;
        let pass_a = [1.0, 2.0 * (k * k - 1.0) / norm, (1.0 - k / quality + k * k) / norm];
        Self { b: product(shelf_b, [1.0, -2.0, 1.0]), a: product(shelf_a, pass_a) }
    }

    /// Filters stretches of equal length side by side; returns the sum of squares of each.
    pub(super) fn run(&self, lanes: &mut Lanes, stretches: [&[f32]; LANES]) -> [f64; LANES] {
        let [mut v1, mut v2, mut v3, mut v4] = lanes.0;
        let mut sums = [0.0; LANES];
        let [first, second, third, fourth] = stretches;
        for (((first, second), third), fourth) in first.iter().zip(second).zip(third).zip(fourth) {
            let samples = [*first, *second, *third, *fourth];
            let mut v0 = [0.0; LANES];
            for at in 0..LANES {
                let sample = f64::from(samples[at]) + BIAS;
                v0[at] = self.inner(sample, [v1[at], v2[at], v3[at], v4[at]]);
                let out = self.outer([v0[at], v1[at], v2[at], v3[at], v4[at]]);
                sums[at] += out * out;
            }
            (v4, v3, v2, v1) = (v3, v2, v1, v0);
        }
        lanes.0 = [v1, v2, v3, v4];
        sums
    }

    /// Filters one stretch; returns its sum of squares.
    pub(super) fn run_one(&self, memory: &mut Memory, stretch: &[f32]) -> f64 {
        let mut sum = 0.0;
        for sample in stretch {
            let [v1, v2, v3, v4] = memory.0;
            let v0 = self.inner(f64::from(*sample) + BIAS, memory.0);
            let out = self.outer([v0, v1, v2, v3, v4]);
            sum += out * out;
            memory.0 = [v0, v1, v2, v3];
        }
        sum
    }

    /// The recursive half. The newest value comes last, so that only one product and one difference wait for it.
    #[inline(always)]
    fn inner(&self, sample: f64, [v1, v2, v3, v4]: [f64; 4]) -> f64 {
        sample - self.a[4] * v4 - self.a[3] * v3 - self.a[2] * v2 - self.a[1] * v1
    }

    #[inline(always)]
    fn outer(&self, [v0, v1, v2, v3, v4]: [f64; 5]) -> f64 {
        (self.b[4] * v4 + self.b[3] * v3) + (self.b[2] * v2 + self.b[1] * v1) + self.b[0] * v0
    }
}

/// The product of two polynomials of second degree.
const fn product(p: [f64; 3], q: [f64; 3]) -> [f64; 5] {
    [
        p[0] * q[0],
        p[0] * q[1] + p[1] * q[0],
        p[0] * q[2] + p[1] * q[1] + p[2] * q[0],
        p[1] * q[2] + p[2] * q[1],
        p[2] * q[2],
    ]
}
