//! A cheap fingerprint of sizes and times, by which a rescan sees that a text changed. No protection against forgery.

use rustix::fs::Stat;

/// FNV-1a over 64 bits, which unlike the standard library's hasher stays the same from version to version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp(u64);

impl Stamp {
    pub(crate) const fn new() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        self
    }

    /// The state of a file, or that it is not there.
    pub(crate) fn stat(self, stat: Option<&Stat>) -> Self {
        match stat {
            None => self.bytes(&[0]),
            Some(stat) => {
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                self.bytes(&[1]).bytes(&size.to_le_bytes()).bytes(&crate::open::mtime_ns(stat).to_le_bytes())
            }
        }
    }

    /// 53 bits, which every JSON reader keeps.
    pub(crate) const fn value(self) -> u64 {
        (self.0 ^ (self.0 >> 53)) & ((1 << 53) - 1)
    }

    /// All 64 bits.
    pub(crate) const fn full(self) -> u64 {
        self.0
    }
}
