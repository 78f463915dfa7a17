use dataplane_snapshot::Key;

/// A backend and the id of one of its targets.
pub type Subject = (Key, Box<str>);

/// What the health checks of one worker decided about a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    NotChecked,
    /// It gets traffic.
    In,
    Out,
}

/// Whether the circuit breaker of one worker lets requests through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    Closed,
    Open,
}

/// How a target stands with one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    pub standing: Standing,
    pub breaker: Breaker,
    /// Since when it stands so, in milliseconds since 1970-01-01 UTC, by the worker's clock.
    pub since: u64,
    /// What the last probe found wrong.
    pub reason: Option<Box<str>>,
}

/// Of how many targets one worker says what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub ready: usize,
    pub out: usize,
    pub not_checked: usize,
    pub open_breakers: usize,
}

/// How many targets most workers give traffic, that they give none, and about which they disagree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub ready: usize,
    pub out: usize,
    pub degraded: usize,
}

/// A target as all workers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetHealth {
    pub target: Box<str>,
    /// Workers that give it traffic by their checks.
    pub ready: usize,
    /// Workers that give it none.
    pub out: usize,
    /// Workers whose circuit breakers keep requests from it.
    pub open_breakers: usize,
    /// Since when the first of those that agree with the verdict has been of this opinion.
    pub since: Option<u64>,
    /// What one of those found for which it is out.
    pub reason: Option<Box<str>>,
}

impl TargetHealth {
    /// Most of the workers that check it say that it is ready. `None`: nobody has decided.
    pub const fn is_ready(&self) -> Option<bool> {
        verdict(self.ready, self.out)
    }

    /// Workers are of two minds: it may be the network between some of them and the target.
    pub const fn is_disputed(&self) -> bool {
        is_disputed(self.ready, self.out)
    }
}

const fn verdict(ready: usize, out: usize) -> Option<bool> {
    match ready + out {
        0 => None,
        _ => Some(ready > out),
    }
}

const fn is_disputed(ready: usize, out: usize) -> bool {
    ready > 0 && out > 0
}

/// A backend's targets as all workers see them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendHealth {
    /// In the order of their ids.
    pub targets: Vec<TargetHealth>,
}

impl BackendHealth {
    /// How many targets are ready.
    pub fn ready(&self) -> usize {
        self.targets.iter().filter(|target| target.is_ready() == Some(true)).count()
    }
}

impl Counts {
    pub(super) fn add(&mut self, level: &Level) {
        *self.with(level.standing) += 1;
        self.open_breakers += usize::from(level.breaker == Breaker::Open);
    }

    /// The reverse of [`Self::add`].
    pub(super) fn take(&mut self, level: &Level) {
        *self.with(level.standing) -= 1;
        self.open_breakers -= usize::from(level.breaker == Breaker::Open);
    }

    const fn with(&mut self, standing: Standing) -> &mut usize {
        match standing {
            Standing::NotChecked => &mut self.not_checked,
            Standing::In => &mut self.ready,
            Standing::Out => &mut self.out,
        }
    }
}

impl Sums {
    /// Counts a target of which workers say `now`, in place of what they said `before`.
    pub(super) fn follow(&mut self, before: Counts, now: Counts) {
        let add = |sum: &mut usize, is: &dyn Fn(Counts) -> bool| {
            *sum += usize::from(is(now));
            *sum -= usize::from(is(before));
        };
        add(&mut self.ready, &|of| verdict(of.ready, of.out) == Some(true));
        add(&mut self.out, &|of| verdict(of.ready, of.out) == Some(false));
        add(&mut self.degraded, &|of| is_disputed(of.ready, of.out));
    }
}
