//! The leader's port, and that port inside TLS.
//!
//! [`PortTls`] is what clients are greeted with; [`TlsListener`] shakes hands with each apart from all others, and takes a new
//! [`PortTls`] for the connections that begin after it. [`serve`] bounds what clients may take, in clear text as well.

mod greet;
mod listener;
mod serve;
mod tls;

pub use listener::TlsListener;
pub use serve::{Bounds, HasEnds, serve};
pub use tls::{PortTls, PortTlsError};
