use crate::Moment;
use crate::atomic::AtomicU64;
use crate::atomic::Ordering::{Acquire, Release};

/// Where a target stands after the checks so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// No check has decided anything: it gets traffic.
    #[default]
    NotChecked,
    In,
    /// It gets no traffic.
    Out,
}

/// A standing and its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    pub standing: Standing,
    pub since: Moment,
}

/// The health of one target, written by its probe and read by every choice of a target. Who reads it also sees what was
/// written before it: that the target has to warm up.
#[derive(Debug, Default)]
pub struct HealthState(AtomicU64);

/// The bits below the moment.
const BITS: u32 = 2;
const MASK: u64 = (1 << BITS) - 1;
const IN: u64 = 1;
const OUT: u64 = 2;

impl HealthState {
    /// Costs one load.
    #[inline]
    pub fn is_out(&self) -> bool {
        self.0.load(Acquire) & MASK == OUT
    }

    pub fn load(&self) -> Health {
        let word = self.0.load(Acquire);
        let standing = match word & MASK {
            IN => Standing::In,
            OUT => Standing::Out,
            _ => Standing::NotChecked,
        };
        Health { standing, since: Moment::from_micros(word >> BITS) }
    }

    /// Moments of the first 146,000 years of a process are kept as they are.
    pub fn store(&self, health: Health) {
        let standing = match health.standing {
            Standing::NotChecked => 0,
            Standing::In => IN,
            Standing::Out => OUT,
        };
        let since = health.since.as_micros().min(u64::MAX >> BITS);
        self.0.store(since << BITS | standing, Release);
    }
}
