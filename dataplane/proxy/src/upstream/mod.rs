//! Connections to targets. hyper speaks HTTP/1 on them; its connection future is polled by the task of the client's
//! connection, so that a request costs no extra task and no extra wake-up.

mod body;
mod connect;
mod pool;
mod resolve;
mod transport;

pub(crate) use body::{RequestBody, Slot};
pub(crate) use connect::connect;
pub(crate) use pool::{Pool, PoolKey, Upstream};
pub(crate) use resolve::Resolver;
pub(crate) use transport::{Activity, Transport};
