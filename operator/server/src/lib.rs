//! The leader's doings: it plans what its sources say, hands the result to workers, and lets people read and write
//! Backends and Routes.

pub mod admin;
pub mod cluster;
mod credentials;
pub mod leader;
pub mod port;
pub mod usage;

pub use credentials::Credentials;
