use std::time::Duration;

/// xorshift64*: good enough to shuffle a simulation, and the same everywhere.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        // Neighbouring seeds are nothing alike (the finalizer of splitmix64).
        let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((state ^ (state >> 31)) | 1)
    }

    /// Uniform in [0, 1).
    pub(crate) fn roll(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn is(&mut self, chance: f64) -> bool {
        self.roll() < chance
    }

    pub(crate) fn below(&mut self, end: Duration) -> Duration {
        end.mul_f64(self.roll())
    }

    /// One of the numbers from 0 up to, not including, `end`.
    pub(crate) fn index(&mut self, end: usize) -> usize {
        ((self.roll() * end as f64) as usize).min(end.saturating_sub(1))
    }
}
