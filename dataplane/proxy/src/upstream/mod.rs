//! Connections to targets. The task of the client's connection reads and writes them, so that a request costs no other
//! task and no other wake-up.

mod connect;
mod pool;
mod resolve;
mod transport;

pub(crate) use connect::{DialError, connect, dial};
pub(crate) use pool::{Pool, PoolKey, Upstream};
pub(crate) use resolve::{Addresses, ResolveError, Resolver};
pub(crate) use transport::Transport;
