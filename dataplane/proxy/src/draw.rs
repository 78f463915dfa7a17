use std::cell::Cell;

/// Random numbers for choices among targets: fast, evenly spread, and not for secrets.
pub(crate) struct Draw(Cell<u64>);

impl Draw {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// `SplitMix64`: each seed gives every number once in 2⁶⁴ draws.
    pub(crate) fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_spread_evenly() {
        let draw = Draw::new(7);
        let mut counts = [0_u32; 8];
        for _ in 0..80_000 {
            counts[(draw.next() >> 61) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        assert_ne!(Draw::new(1).next(), Draw::new(2).next());
    }
}
