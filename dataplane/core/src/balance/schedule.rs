use std::cmp::Ordering;

/// The order in which targets take their turns: each as often as its weight says, spread evenly.
///
/// Made once per change, so that choosing costs one look into a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    turns: Box<[u16]>,
}

impl Schedule {
    /// The most entries that can have a share; further ones get none.
    pub const MAX_ENTRIES: usize = 1 << 15;
    /// The longest round. Weights that need a longer one are scaled down, each of them to at least one turn.
    pub const MAX_TURNS: u64 = 4096;

    /// One turn per unit of weight, after division by the greatest common divisor. Weight 0 has no turn.
    pub fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let mut shares: Vec<(u16, u64)> = (0_u16..)
            .zip(weights.into_iter().take(Self::MAX_ENTRIES))
            .filter(|(_, weight)| *weight > 0)
            .map(|(index, weight)| (index, u64::from(weight)))
            .collect();
        let divisor = shares.iter().fold(0, |divisor, (_, weight)| gcd(divisor, *weight)).max(1);
        shares.iter_mut().for_each(|(_, weight)| *weight /= divisor);
        let total: u64 = shares.iter().map(|(_, weight)| weight).sum();
        if total > Self::MAX_TURNS {
            shares.iter_mut().for_each(|(_, weight)| *weight = (*weight * Self::MAX_TURNS / total).max(1));
        }
        // A stable sort keeps those of one weight in their order.
        shares.sort_by_key(|(_, weight)| *weight);
        let mut turns: Vec<Turn> =
            shares.chunk_by(|(_, one), (_, other)| one == other).flat_map(turns_of).collect();
        turns.sort_unstable_by(by_due_time);
        Self { turns: turns.into_iter().map(|turn| turn.index).collect() }
    }

    pub const fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// The index whose turn it is; `None` if every weight is 0.
    pub fn at(&self, turn: usize) -> Option<usize> {
        match &*self.turns {
            [] => None,
            [only] => Some(usize::from(*only)),
            turns => turns.get(turn % turns.len()).map(|index| usize::from(*index)),
        }
    }
}

/// Due at `at / of` of the round.
struct Turn {
    at: u64,
    of: u64,
    index: u16,
}

/// The turns of entries of one weight, which take them one after the other, so that they don't come all at once: the k-th of n is
/// due at (2k + 1) / 2n.
fn turns_of(equals: &[(u16, u64)]) -> impl Iterator<Item = Turn> {
    let weight = equals.first().map_or(0, |(_, weight)| *weight);
    let all = weight * equals.len() as u64;
    let indices = equals.iter().map(|(index, _)| *index).cycle();
    (0..all).zip(indices).map(move |(k, index)| Turn { at: 2 * k + 1, of: 2 * all, index })
}

fn by_due_time(a: &Turn, b: &Turn) -> Ordering {
    (a.at * b.of).cmp(&(b.at * a.of)).then(a.index.cmp(&b.index))
}

const fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn counts(schedule: &Schedule, entries: usize) -> Vec<usize> {
        let mut counts = vec![0; entries];
        for turn in 0..schedule.turns.len() {
            counts[schedule.at(turn).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn spreads_turns_evenly() {
        assert_eq!(*Schedule::new([1, 1, 1]).turns, [0, 1, 2]);
        assert_eq!(*Schedule::new([2, 0, 4]).turns, [2, 0, 2], "divided by the common divisor");
        assert_eq!(*Schedule::new([5, 1, 1]).turns, [0, 1, 0, 0, 0, 2, 0]);
        assert_eq!(
            *Schedule::new([6, 1, 1, 1]).turns,
            [0, 1, 0, 0, 2, 0, 0, 3, 0],
            "equals don't come all at once"
        );
    }

    #[test]
    fn weight_0_has_no_turn() {
        assert_eq!(Schedule::new([0, 0]).at(0), None);
        assert_eq!(Schedule::new([]).at(7), None);
        assert_eq!(Schedule::new([0, 3]).at(7), Some(1));
    }

    #[test]
    fn a_round_is_bounded() {
        let schedule = Schedule::new([u32::MAX, 1, u32::MAX - 1]);
        assert!(schedule.turns.len() <= 4098);
        assert!(counts(&schedule, 3).iter().all(|count| *count > 0));
        assert_eq!(Schedule::new(vec![1; 70_000]).turns.len(), Schedule::MAX_ENTRIES);
    }

    proptest! {
        #[test]
        fn shares_are_exact_within_a_round(weights in prop::collection::vec(0_u32..40, 1..20)) {
            let schedule = Schedule::new(weights.iter().copied());
            let turns = schedule.turns.len() as u64;
            let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            for (weight, count) in weights.iter().zip(counts(&schedule, weights.len())) {
                prop_assert_eq!(u64::from(*weight) * turns, count as u64 * total);
            }
        }

        #[test]
        fn no_entry_is_starved_within_a_round(weights in prop::collection::vec(1_u32..20, 2..10)) {
            let schedule = Schedule::new(weights.iter().copied());
            let turns = schedule.turns.len();
            // Between two turns of an entry each other weight has its share of them, and one more where it doesn't come out even.
            let different = weights.iter().collect::<BTreeSet<_>>().len();
            for index in 0..weights.len() {
                let share = counts(&schedule, weights.len())[index];
                let mut waited = 0;
                for turn in 0..2 * turns {
                    waited = if schedule.at(turn) == Some(index) { 0 } else { waited + 1 };
                    prop_assert!(waited < turns.div_ceil(share) + different);
                }
            }
        }
    }
}
