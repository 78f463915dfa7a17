//! Hashing by highest random weight (Thaler and Ravishankar, "A Name-Based Mapping Scheme for Rendezvous"): a key belongs
//! to the target with the highest score. Without a target, its keys spread over the others and no other key moves.

use super::spread;

/// The same for the same bytes everywhere and in every version, since workers have to agree (FNV-1a, then spread).
pub(super) fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    spread(bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// What a target bids for a key. Its chance to have the highest bid is in proportion to its weight, which is at least 0.
pub(super) fn score(key: u64, token: u64, weight: f64) -> f64 {
    // Evenly in 0 < x < 1: the upper 52 bits and a half.
    let x = ((spread(key ^ token) >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
    weight / -x.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_stay_the_same() {
        assert_eq!(hash([]), spread(0xcbf2_9ce4_8422_2325));
        assert_eq!(hash(*b"a"), spread(0xaf63_dc4c_8601_ec8c), "a test vector of FNV-1a");
    }

    #[test]
    fn a_weight_of_0_never_wins() {
        for key in 0..1000 {
            assert!(score(key, 1, 0.0) < score(key, 2, 0.001));
            assert!(score(key, 1, 1.0).is_finite());
        }
    }
}
