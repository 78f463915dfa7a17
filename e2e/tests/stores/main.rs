//! State stores on real servers: each passes the same suite, and what several processes on one store may rely on.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod history;
mod kills;
mod kinds;
mod leases;
mod many;
mod page;
mod propagation;
mod reach;
mod several;
mod transfers;
