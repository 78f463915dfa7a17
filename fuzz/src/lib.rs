//! What each fuzz target does with its input. A body panics if a promise is broken; so a target is one call of it, and so is
//! a property test on stable (`tests/bodies.rs`).
//!
//! With a nightly compiler and cargo-fuzz: `cargo fuzz run --fuzz-dir fuzz/targets head`.

#![expect(clippy::panic, reason = "a body panics to tell the fuzzer that a promise is broken")]

mod http1;
mod snapshot;
mod yaml;

pub use http1::{chunks, head, response_head};
pub use snapshot::snapshot;
pub use yaml::yaml;
