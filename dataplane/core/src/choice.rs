use smallvec::SmallVec;

use crate::{CompiledTarget, Moment};

/// What choosing a target goes by, beside the backend itself.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a, H> {
    pub head: &'a H,
    /// The targets that this request was already sent to.
    pub tried: &'a Tried,
    pub now: Moment,
    /// Drawn anew for each choice, uniformly.
    pub random: u64,
}

/// The targets that a request was already sent to, in order; one may come more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried(SmallVec<[u16; 4]>);

impl Tried {
    pub fn add(&mut self, target: &CompiledTarget) {
        self.0.push(target.position);
    }

    pub fn contains(&self, target: &CompiledTarget) -> bool {
        self.0.contains(&target.position)
    }

    /// How often the request was sent.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}
