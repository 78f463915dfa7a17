//! HTTP/1.0 and 1.1, towards clients and towards targets: strict heads and framing (RFC 9112).
//!
//! [`head`], [`response_head`], [`framing`] and [`chunked`] are pure functions over bytes. [`stream`] joins them to a byte stream with
//! buffers. What is ambiguous is refused and never repaired, because the next server in the chain may repair it
//! differently.

pub(crate) mod characters;
pub mod chunked;
pub mod fields;
pub mod framing;
pub mod head;
pub mod host;
mod output;
pub(crate) mod piece;
pub(crate) mod response;
pub mod response_head;
pub(crate) mod stream;
pub mod target;
