//! HTTP/1.0 and 1.1 towards clients: strict heads and framing (RFC 9112).
//!
//! [`head`], [`framing`] and [`chunked`] are pure functions over bytes. [`stream`] joins them to a byte stream with
//! buffers. What is ambiguous is refused and never repaired, because the next server in the chain may repair it
//! differently.

mod characters;
pub mod chunked;
pub mod fields;
pub mod framing;
pub mod head;
pub mod host;
mod output;
pub(crate) mod response;
pub(crate) mod stream;
pub mod target;
