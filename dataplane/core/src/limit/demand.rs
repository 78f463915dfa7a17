use std::time::Duration;

use super::bucket::WHOLE;
use crate::Moment;

/// What of an earlier demand counts beside the newest.
const MEMORY: f64 = 0.7;
/// Of a limit what is divided evenly, so that each worker can let some pass of what begins to come.
const EVEN: f64 = 0.05;

/// How much of what is asked of all workers is asked of this one, by how both totals have grown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Demand {
    last: Option<Seen>,
    /// So many totals more aren't compared with those before them.
    unsettled: u8,
    own: f64,
    all: f64,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Moment,
    /// As it was told.
    told: u64,
    own: f64,
    all: f64,
}

impl Seen {
    /// What others have told is half a pause old on average, so this worker's own is taken as it was then, too: otherwise each would
    /// take the beginning of a demand for its own alone.
    fn new(at: Moment, (own, all): (u64, u64), before: u64) -> Self {
        let (told, others) = (own, all.saturating_sub(own));
        let own = (before.min(told) as f64).midpoint(told as f64);
        Self { at, told, own, all: others as f64 + own }
    }
}

impl Demand {
    /// Begins with the part that this worker has of all so far, which counts little.
    pub(super) fn begin_with(&mut self, own: u64, all: u64) {
        if self.last.is_none() && self.all <= 0.0 && all > 0 {
            (self.own, self.all) = (own as f64 / all as f64, 1.0);
        }
    }

    /// Takes totals of which `own` is a part of `all`. Those that come before `gap` is over are passed over: in that time the
    /// others haven't told theirs.
    pub(super) fn see(&mut self, own: u64, all: u64, now: Moment, gap: Duration) {
        let Some(last) = self.last else {
            self.last = Some(Seen::new(now, (own, all), own));
            return;
        };
        let seen = Seen::new(now, (own, all), last.told);
        let is_reset = own < last.told || seen.all < last.all;
        if !is_reset && now.since(last.at) < gap {
            return;
        }
        if !is_reset && self.unsettled == 0 {
            self.own = self.own * MEMORY + (seen.own - last.own).max(0.0);
            self.all = self.all * MEMORY + (seen.all - last.all);
        }
        if !is_reset {
            self.unsettled = self.unsettled.saturating_sub(1);
        }
        self.last = Some(seen);
    }

    /// The totals are somebody else's from now on, who has to hear of all first. What is known of the demand stays.
    pub(super) const fn unsettle(&mut self) {
        (self.last, self.unsettled) = (None, 2);
    }

    /// This worker's part of what all `workers` may let pass, of [`WHOLE`], at least 1; `None`: nobody has asked for any.
    pub(super) fn share(&self, workers: u32) -> Option<u32> {
        if self.all <= f64::EPSILON {
            return None;
        }
        let part = (self.own / self.all).clamp(0.0, 1.0);
        let share = (1.0 - EVEN) * part + EVEN / f64::from(workers.max(1));
        Some(((share * f64::from(WHOLE)) as u32).clamp(1, WHOLE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: Duration = Duration::from_secs(1);

    fn share(demand: &Demand, workers: u32) -> f64 {
        f64::from(demand.share(workers).unwrap()) / f64::from(WHOLE)
    }

    #[test]
    fn shares_follow_what_is_asked_and_come_to_one_limit() {
        let (mut busy, mut idle) = (Demand::default(), Demand::default());
        assert_eq!(busy.share(2), None);
        for second in 0..20 {
            let now = Moment::from_micros(second * 1_000_000);
            busy.see(second * 90, second * 100, now, GAP);
            idle.see(second * 10, second * 100, now, GAP);
        }
        assert!((share(&busy, 2) - 0.88).abs() < 0.001, "{busy:?}");
        assert!((share(&busy, 2) + share(&idle, 2) - 1.0).abs() < 0.001);
        for second in 20..36 {
            let now = Moment::from_micros(second * 1_000_000);
            busy.see(1800, second * 100, now, GAP);
            idle.see(second * 100 - 1800, second * 100, now, GAP);
        }
        assert!(share(&busy, 2) < 0.06 && share(&idle, 2) > 0.94, "what was before is forgotten");
    }

    #[test]
    fn the_first_totals_say_whose_it_is() {
        let mut demand = Demand::default();
        demand.begin_with(7, 7);
        demand.see(7, 7, Moment::default(), GAP);
        assert_eq!(demand.share(1), Some(WHOLE));
        assert!((share(&demand, 4) - 0.9625).abs() < 0.001);
        let mut new = Demand::default();
        new.begin_with(0, 1_000_000);
        new.see(0, 1_000_000, Moment::default(), GAP);
        assert!((share(&new, 4) - 0.0125).abs() < 0.001);
        for second in 1..4 {
            new.see(50 * second, 1_000_000 + 100 * second, Moment::default().after(GAP * second as u32), GAP);
        }
        assert!(share(&new, 4) > 0.45, "{new:?}");
    }

    #[test]
    fn it_begins_once_and_with_what_somebody_has_asked_for() {
        let mut demand = Demand::default();
        demand.begin_with(0, 0);
        assert_eq!(demand.share(2), None);
        demand.begin_with(1, 4);
        let begun = demand.share(2);
        demand.begin_with(4, 4);
        assert_eq!(demand.share(2), begun, "it has begun");
        let mut seen = Demand::default();
        seen.see(1, 4, Moment::default(), GAP);
        seen.begin_with(4, 4);
        assert_eq!(seen.share(2), None, "what grows from here on counts");
    }

    #[test]
    fn totals_that_fall_are_of_another_window_and_those_after_them_count() {
        let at = |second: u32| Moment::default().after(GAP * second);
        let mut demand = Demand::default();
        for second in 0..4 {
            demand.see(u64::from(second) * 50, u64::from(second) * 100, at(second), GAP);
        }
        let before = demand.share(2);
        demand.see(0, 400, at(4), GAP);
        assert_eq!(demand.share(2), before, "its own has fallen");
        demand.see(0, 100, at(5), GAP);
        assert_eq!(demand.share(2), before, "that of all has fallen");
        demand.unsettle();
        for second in 6..12 {
            demand.see(0, u64::from(second) * 100, at(second), GAP);
        }
        assert!(share(&demand, 2) < 0.2, "those of another leader count from the third on: {demand:?}");
    }

    #[test]
    fn the_beginning_of_a_demand_is_not_taken_for_ones_own_alone() {
        let mut demand = Demand::default();
        demand.see(0, 0, Moment::default(), GAP);
        assert_eq!(demand.share(3), None);
        // The two others have told what they had halfway.
        demand.see(100, 200, Moment::default().after(GAP), GAP);
        assert!((share(&demand, 3) - 1.0 / 3.0).abs() < 0.01, "{demand:?}");
    }

    #[test]
    fn another_leader_that_hears_of_all_again_changes_nothing() {
        let mut demand = Demand::default();
        for second in 0..10 {
            demand.see(second * 50, second * 100, Moment::default().after(GAP * second as u32), GAP);
        }
        let before = share(&demand, 2);
        demand.unsettle();
        // It knows of this one only; then the other one tells all that it has.
        for (second, (own, all)) in
            [(500, 500), (550, 550), (600, 1200), (650, 1300), (700, 1400)].into_iter().enumerate()
        {
            demand.see(own, all, Moment::default().after(GAP * (10 + second as u32)), GAP);
            assert!((share(&demand, 2) - before).abs() < 0.01, "{second}: {demand:?}");
        }
    }

    #[test]
    fn totals_in_between_and_new_windows_change_nothing() {
        let mut demand = Demand::default();
        demand.begin_with(50, 100);
        demand.see(50, 100, Moment::default(), GAP);
        let before = demand.share(3);
        demand.see(90, 140, Moment::default().after(GAP / 2), GAP);
        assert_eq!(demand.share(3), before, "the other hasn't told what it has");
        demand.see(1, 2, Moment::default().after(GAP * 2), GAP);
        assert_eq!(demand.share(3), before, "a window has begun");
        demand.see(1, 202, Moment::default().after(GAP * 3), GAP);
        assert!(share(&demand, 3) < 0.03);
    }
}
