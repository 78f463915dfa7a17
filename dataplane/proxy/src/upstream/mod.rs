//! Connections to targets. The task of the client's connection reads and writes them, so that a request costs no other
//! task and no other wake-up.

mod connect;
mod connect_request;
mod lane;
mod pool;
mod resolve;
mod socks;
mod transport;
mod via;

pub(crate) use connect::{DialError, connect, dial};
pub(crate) use lane::Handed;
pub(crate) use pool::{Pool, Upstream};
pub(crate) use resolve::{Address, ResolveError, Resolver};
pub(crate) use transport::Transport;
pub(crate) use via::{Hop, Via};
