//! Which target takes a request.

mod candidates;
mod latency;
#[cfg(all(test, loom))]
mod loom_tests;
mod policy;
#[cfg(test)]
mod policy_tests;
mod rendezvous;
mod schedule;
mod spread;
mod sticky;
#[cfg(test)]
mod tests;
mod warmth;

pub(crate) use candidates::{Candidates, Panic, is_disbelieved};
pub use latency::{Latency, Outcome};
pub(crate) use policy::Policy;
pub use schedule::Schedule;
pub(crate) use spread::spread;
pub use warmth::Warmth;
