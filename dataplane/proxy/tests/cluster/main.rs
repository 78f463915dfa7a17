//! The leader's endpoints and a worker's client, in one process, over real sockets.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what a test can't get fails it")]

mod authority;
mod changes;
mod disk;
mod follow;
mod leader;
mod liar;
mod listeners;
mod local;
mod plain;
mod reports;
mod samples;
mod scopes;
mod secure;
mod worker;
