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
        // The k-th of w turns is due at (2k + 1) / 2w of the round.
        let mut turns: Vec<(u64, u64, u16)> = shares
            .iter()
            .flat_map(|(index, weight)| (0..*weight).map(move |k| (2 * k + 1, *weight, *index)))
            .collect();
        turns.sort_unstable_by(by_due_time);
        Self { turns: turns.into_iter().map(|(_, _, index)| index).collect() }
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

fn by_due_time(a: &(u64, u64, u16), b: &(u64, u64, u16)) -> Ordering {
    (a.0 * b.1).cmp(&(b.0 * a.1)).then(a.2.cmp(&b.2))
}

const fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(*Schedule::new([5, 1, 1]).turns, [0, 0, 0, 1, 2, 0, 0]);
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
            for index in 0..weights.len() {
                let share = counts(&schedule, weights.len())[index];
                let longest_wait = 2 * turns.div_ceil(share);
                let mut waited = 0;
                for turn in 0..2 * turns {
                    waited = if schedule.at(turn) == Some(index) { 0 } else { waited + 1 };
                    prop_assert!(waited <= longest_wait);
                }
            }
        }
    }
}
