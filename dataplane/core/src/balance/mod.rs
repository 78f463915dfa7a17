//! Which target takes a request.

mod candidates;
mod schedule;
mod spread;
#[cfg(test)]
mod tests;
mod warmth;

pub(crate) use candidates::{Candidates, Panic};
pub use schedule::Schedule;
pub(crate) use spread::spread;
pub use warmth::Warmth;
