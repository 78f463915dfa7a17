//! Whole processes without a cluster: a standalone gateway, a leader with workers, kills and restarts.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "an error fails the test; a field that JSON lacks is null"
)]

#[path = "processes/cluster.rs"]
mod cluster;
#[path = "processes/clustering.rs"]
mod clustering;
#[path = "processes/descriptors.rs"]
mod descriptors;
#[path = "processes/edits.rs"]
mod edits;
#[path = "processes/effects.rs"]
mod effects;
#[path = "processes/faults.rs"]
mod faults;
#[path = "processes/fixture.rs"]
mod fixture;
#[path = "processes/flips.rs"]
mod flips;
#[path = "processes/http2.rs"]
mod http2;
#[path = "processes/limits.rs"]
mod limits;
#[path = "processes/platform.rs"]
mod platform;
#[path = "processes/quickstart.rs"]
mod quickstart;
#[path = "processes/resilience.rs"]
mod resilience;
#[path = "processes/scale.rs"]
mod scale;
#[path = "processes/scopes.rs"]
mod scopes;
#[path = "processes/stopping.rs"]
mod stopping;
#[path = "processes/writes.rs"]
mod writes;
