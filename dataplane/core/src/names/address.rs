use std::time::Duration;

use smallvec::SmallVec;

use crate::Moment;
use crate::atomic::AtomicU64;
use crate::atomic::Ordering::Relaxed;

/// Whether an address is avoided, as it took no connection. Shared by all threads.
///
/// It is avoided for ten seconds, then one connection begins there. If that fails, too, it is avoided for twice as long, up to a
/// minute. Avoided isn't excluded: it is tried when all others failed.
///
/// One word: failures in its last byte, whether somebody tries in the next bit, and above the microseconds of [`Moment`]'s
/// clock until which it is avoided. All zero: nothing is known against it.
#[derive(Debug, Default)]
pub struct Avoidance(AtomicU64);

const TRYING: u64 = 1 << 8;
const CLOCK: u32 = 9;
/// The first time, and the time that a trial has.
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(60);

const fn until(word: u64) -> Moment {
    Moment::from_micros(word >> CLOCK)
}

const fn word(until: Moment, trying: u64, failures: u64) -> u64 {
    until.as_micros() << CLOCK | trying | failures
}

impl Avoidance {
    pub fn is_avoided(&self, now: Moment) -> bool {
        until(self.0.load(Relaxed)) > now
    }

    /// Whether a connection may begin here. Of those that ask when its time is over, one.
    fn begins(&self, now: Moment) -> bool {
        let before = self.0.load(Relaxed);
        if before == 0 {
            return true;
        }
        let trial = word(now.after(FIRST), TRYING, before & 0xff);
        until(before) <= now && self.0.compare_exchange(before, trial, Relaxed, Relaxed).is_ok()
    }

    /// It took a connection.
    pub fn succeed(&self) {
        if self.0.load(Relaxed) != 0 {
            self.0.store(0, Relaxed);
        }
    }

    /// It took none. Of several that fail at the same time, one counts.
    pub fn fail(&self, now: Moment) {
        let before = self.0.load(Relaxed);
        if before & TRYING == 0 && until(before) > now {
            return;
        }
        let failures = (before & 0xff).min(8) + 1;
        let time = FIRST.saturating_mul(1 << (failures - 1)).min(LONGEST);
        // Whoever was faster knows as much.
        let _ = self.0.compare_exchange(before, word(now.after(time), 0, failures), Relaxed, Relaxed);
    }
}

/// The positions of `all` in the order in which a connection tries them: those that aren't avoided, beginning with another one
/// each `turn`, then the others.
pub fn order<'a>(all: impl Iterator<Item = &'a Avoidance>, turn: usize, now: Moment) -> SmallVec<[usize; 8]> {
    let mut good = SmallVec::<[(usize, &Avoidance); 8]>::new();
    let mut avoided = SmallVec::<[usize; 8]>::new();
    for (position, avoidance) in all.enumerate() {
        if avoidance.is_avoided(now) {
            avoided.push(position);
        } else {
            good.push((position, avoidance));
        }
    }
    rotate(&mut good, turn);
    rotate(&mut avoided, turn);
    // Others who wait for a trial of theirs are behind it for once.
    let later = good.first().is_some_and(|(_, first)| !first.begins(now));
    if later {
        good.rotate_left(1);
    }
    good.into_iter().map(|(position, _)| position).chain(avoided).collect()
}

fn rotate<T>(list: &mut [T], turn: usize) {
    list.rotate_left(turn.checked_rem(list.len()).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: u64) -> Moment {
        Moment::from_micros(secs * 1_000_000)
    }

    fn of<const N: usize>(all: &[Avoidance; N], turn: usize, now: u64) -> Vec<usize> {
        order(all.iter(), turn, at(now)).to_vec()
    }

    #[test]
    fn connections_go_round() {
        let all: [Avoidance; 3] = Default::default();
        let orders: Vec<_> = (2..5).map(|turn| of(&all, turn, 0)).collect();
        assert_eq!(orders, [[2, 0, 1], [0, 1, 2], [1, 2, 0]]);
        assert_eq!(of(&all, usize::MAX, 0).len(), 3);
        assert!(of(&[], 7, 0).is_empty());
    }

    #[test]
    fn the_share_of_a_dead_address_is_shared_out_evenly() {
        let all: [Avoidance; 3] = Default::default();
        all[1].fail(at(0));
        let orders: Vec<_> = (0..4).map(|turn| of(&all, turn, 9)).collect();
        assert_eq!(orders, [[0, 2, 1], [2, 0, 1], [0, 2, 1], [2, 0, 1]]);
        all[0].fail(at(0));
        all[2].fail(at(0));
        assert_eq!(of(&all, 1, 9), [1, 2, 0], "all of them are still tried");
    }

    #[test]
    fn one_connection_finds_out_whether_an_address_is_back() {
        let all: [Avoidance; 2] = Default::default();
        all[0].fail(at(0));
        assert_eq!(of(&all, 0, 9), [1, 0]);
        assert_eq!(of(&all, 0, 10), [0, 1], "its time is over");
        assert_eq!(of(&all, 0, 10), [1, 0], "somebody tries");
        assert_eq!(of(&all, 0, 20), [0, 1], "the trial never ended");
        all[0].succeed();
        assert_eq!(of(&all, 0, 20), [0, 1]);
        assert_eq!(of(&all, 0, 20), [0, 1]);
    }

    #[test]
    fn a_dead_address_is_tried_ever_more_seldom() {
        let address = Avoidance::default();
        let mut now = 0;
        for avoided in [10, 20, 40, 60, 60, 60, 60, 60, 60, 60] {
            assert!(address.begins(at(now)));
            address.fail(at(now));
            address.fail(at(now));
            assert!(address.is_avoided(at(now + avoided - 1)), "{avoided}");
            assert!(!address.is_avoided(at(now + avoided)), "{avoided}");
            now += avoided;
        }
    }
}
