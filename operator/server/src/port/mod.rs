//! The leader's port inside TLS.
//!
//! [`PortTls`] is what clients are greeted with; [`TlsListener`] shakes hands with each apart from all others, and takes a new
//! [`PortTls`] for the connections that begin after it.

mod greet;
mod listener;
mod tls;

pub use listener::TlsListener;
pub use tls::{PortTls, PortTlsError};
