use std::time::Duration;

use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use turmoil::Sim;

use super::source::Source;
use super::{LEADERS, WORKERS};

/// How often something happens.
const PACE: Duration = Duration::from_millis(100);

/// What goes wrong, and what is written meanwhile, by a seed.
pub(crate) struct Faults {
    random: TestRng,
    due: Duration,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self { random: TestRng::from_seed(RngAlgorithm::ChaCha, &bytes), due: Duration::ZERO }
    }

    /// Does what is due.
    pub(crate) fn next(&mut self, sim: &mut Sim<'_>, source: &Source) {
        if sim.elapsed() < self.due {
            return;
        }
        self.due = sim.elapsed() + PACE;
        let (worker, leader) = (self.any(&WORKERS), self.any(&LEADERS));
        match self.below(16) {
            0 => sim.partition(worker, leader),
            1 => sim.partition_oneway(worker, leader),
            2 => sim.partition_oneway(leader, worker),
            3..=5 => sim.repair(worker, leader),
            6 => sim.hold(worker, leader),
            7 | 8 => sim.release(worker, leader),
            9 => sim.crash(self.either(worker, leader)),
            10 | 11 => sim.bounce(self.either(worker, leader)),
            _ => source.write(sim.elapsed()),
        }
    }

    /// Nothing is wrong any more, and there is a last write.
    pub(crate) fn end(&mut self, sim: &mut Sim<'_>, source: &Source) {
        for worker in WORKERS {
            for leader in LEADERS {
                sim.repair(worker, leader);
                sim.release(worker, leader);
            }
        }
        for name in WORKERS.into_iter().chain(LEADERS) {
            if !sim.is_host_running(name) {
                sim.bounce(name);
            }
        }
        source.write(sim.elapsed());
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random.next_u64() % end
    }

    fn any(&mut self, names: &[&'static str]) -> &'static str {
        names[usize::try_from(self.below(names.len() as u64)).unwrap()]
    }

    fn either(&mut self, one: &'static str, other: &'static str) -> &'static str {
        if self.below(2) == 0 { one } else { other }
    }
}
