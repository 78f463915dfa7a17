use std::time::Duration;

use crate::Moment;
use crate::atomic::{AtomicU64, Ordering::Relaxed};

/// How long a target takes to answer: a peak-sensitive moving average, as Finagle's "peak EWMA". A slower answer counts at
/// once and in full; faster ones pull the average down by the time that passed, over about ten seconds.
///
/// The average and its age share one word, so that a thread never sees one without the other. Two threads that write at
/// the same time may lose one answer of the two, which an average can do without.
#[derive(Debug, Default)]
pub struct Latency {
    /// Above, the average in microseconds as the bits of an `f32`, below, the milliseconds of its moment, which come around
    /// after 49 days; 0 as long as there is no answer.
    word: AtomicU64,
}

/// The time constant of the average.
const DECAY: Duration = Duration::from_secs(10);

/// What an answer is taken to take, in microseconds, while the first ones are still awaited, or if there was none.
const UNKNOWN: f32 = 1_000_000.0;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    /// An answer that says that the target failed. Failing is often fast, so it can't make the target look faster.
    Failed,
    /// There was no answer. It counts as one that took a second or longer.
    Lost,
}

impl Latency {
    /// The answer came after `took`, or didn't.
    pub fn observe(&self, now: Moment, took: Duration, outcome: Outcome) {
        let took = took.as_secs_f32() * 1e6;
        let took = if outcome == Outcome::Lost { took.max(UNKNOWN) } else { took };
        let average = match self.load() {
            None => took,
            Some((average, _)) if took >= average => took,
            Some((average, then)) if outcome == Outcome::Answered => {
                took + (average - took) * decayed(then, now)
            }
            Some((average, _)) => average,
        };
        self.store(average, now);
    }

    /// The time in microseconds that an answer is expected to take, given the requests that are with the target.
    ///
    /// An average that gets old fades, so that a target which was slow is tried again in the end: with one request, since
    /// it doesn't fade while one is awaited. A target without any answer is expected to be fast for that reason, until it
    /// has got a request.
    pub(crate) fn expected(&self, now: Moment, in_flight: u64) -> f32 {
        match (self.load(), in_flight) {
            (None, 0) => 0.0,
            (None, waiting) => UNKNOWN * waiting as f32,
            (Some((average, then)), 0) => average * decayed(then, now),
            (Some((average, _)), _) => average,
        }
    }

    fn load(&self) -> Option<(f32, u32)> {
        let word = self.word.load(Relaxed);
        (word != 0).then(|| (f32::from_bits((word >> 32) as u32), word as u32))
    }

    fn store(&self, average: f32, now: Moment) {
        // More than 0, as 0 stands for no answer.
        let bits = u64::from(average.max(1.0).to_bits());
        self.word.store(bits << 32 | u64::from(millis(now)), Relaxed);
    }
}

const fn millis(moment: Moment) -> u32 {
    (moment.as_micros() / 1000) as u32
}

/// What is left of an average of the time `then`.
fn decayed(then: u32, now: Moment) -> f32 {
    let now = millis(now);
    // A thread may have read its clock before the one that wrote last.
    let age = now.wrapping_sub(then).cast_signed().max(0);
    (-(age as f32) / DECAY.as_millis() as f32).exp()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(millis: u64) -> Moment {
        Moment::from_micros(millis * 1000)
    }

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_slow_answer_counts_at_once_and_fades() {
        let latency = Latency::default();
        latency.observe(at(0), ms(10), Outcome::Answered);
        latency.observe(at(1), ms(100), Outcome::Answered);
        assert!((latency.expected(at(1), 1) - 100_000.0).abs() < 1.0);
        for millis in (1..30_000).step_by(10) {
            latency.observe(at(millis), ms(10), Outcome::Answered);
        }
        let after = latency.expected(at(30_000), 1);
        assert!((10_000.0..16_000.0).contains(&after), "{after}");
    }

    #[test]
    fn many_answers_within_a_millisecond_do_not_stop_the_average() {
        let latency = Latency::default();
        latency.observe(at(0), ms(100), Outcome::Answered);
        for micros in (0..20_000_000).step_by(100) {
            latency.observe(Moment::from_micros(micros), ms(1), Outcome::Answered);
        }
        let after = latency.expected(at(20_000), 1);
        assert!((1_000.0..20_000.0).contains(&after), "{after}");
    }

    #[test]
    fn a_failure_never_looks_fast() {
        let latency = Latency::default();
        latency.observe(at(0), ms(50), Outcome::Answered);
        latency.observe(at(9_000), ms(1), Outcome::Failed);
        assert!((latency.expected(at(9_000), 1) - 50_000.0).abs() < 1.0);
        latency.observe(at(9_001), ms(500), Outcome::Failed);
        assert!((latency.expected(at(9_001), 1) - 500_000.0).abs() < 1.0);
        let refused = Latency::default();
        refused.observe(at(0), ms(0), Outcome::Lost);
        assert!(refused.expected(at(0), 0) > 999_000.0, "slower than one that answers");
    }

    #[test]
    fn what_is_unknown_or_old_is_tried_by_one_request() {
        let latency = Latency::default();
        assert_eq!(latency.expected(at(0), 0), 0.0);
        assert!(latency.expected(at(0), 2) > latency.expected(at(0), 1));
        latency.observe(at(0), ms(100), Outcome::Answered);
        assert!(latency.expected(at(60_000), 0) < 1_000.0, "faded");
        assert!(latency.expected(at(60_000), 1) > 99_000.0, "but for the one that is tried");
    }

    proptest! {
        #[test]
        fn stays_between_the_fastest_and_the_slowest(
            answers in prop::collection::vec((0_u64..5_000, 1_u64..10_000), 1..50),
        ) {
            let latency = Latency::default();
            let mut now = 0;
            for (pause, took) in &answers {
                now += pause;
                latency.observe(at(now), ms(*took), Outcome::Answered);
            }
            let expected = latency.expected(at(now), 1);
            let (least, most) = (answers.iter().map(|(_, took)| took).min(), answers.iter().map(|(_, took)| took).max());
            prop_assert!(expected >= *least.unwrap() as f32 * 999.0);
            prop_assert!(expected <= *most.unwrap() as f32 * 1001.0);
        }
    }
}
