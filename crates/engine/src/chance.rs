use std::sync::{Mutex, PoisonError};

use raincheck_core::Dice;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The engine's source of chance: seeded by the operating system, or by a test that wants to see the same run again.
#[derive(Debug)]
pub struct Chance(Mutex<StdRng>);

impl Chance {
    /// Chance that nobody can foresee.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that draws chance; everyone else is given it")]
    pub fn from_system() -> Self {
        Self(Mutex::new(rand::make_rng()))
    }

    /// Chance that comes out the same each time.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// 64 random bits.
    #[must_use]
    pub fn bits(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }

    /// A secret of 256 random bits.
    pub(crate) fn secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut secret);
        secret
    }

    /// A throw of the dice.
    #[must_use]
    pub fn dice(&self) -> Dice {
        Dice(self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u32())
    }
}
