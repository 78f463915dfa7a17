//! How many requests may come, and what they came to. All workers share a limit: each lets its share pass and tells what it
//! counted, and what it hears of the others says how large its share is.
//!
//! A request touches atomics only. What it has used is counted when it ends, for its route and for its consumer.

mod admit;
mod bucket;
mod calendar;
mod consumer;
mod consumers;
mod demand;
#[cfg(all(test, loom))]
mod loom_tests;
mod meter;
mod quota;
mod route;
#[cfg(test)]
mod tests;

pub use admit::{Admission, Exceeded, Instant, LimitState};
pub use bucket::WHOLE;
pub use calendar::{Calendar, Window};
pub use consumer::{Consumer, Spent, Verdict};
pub use consumers::MAX_CONSUMERS;
pub use meter::Meter;
pub use route::{ActiveLimits, RouteUsage, UsageStates};
