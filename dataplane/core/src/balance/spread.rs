/// Makes another number of `number`, so that numbers which differ in a few bits only are spread over all of them
/// (`SplitMix64`'s finalizer). The same everywhere and in every version: workers have to agree.
pub(crate) const fn spread(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_the_same() {
        // The first outputs of SplitMix64 with seed 0.
        assert_eq!(spread(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(spread(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
    }
}
