//! HTTP/2 towards targets. A request has a stream of its own on a connection that it shares; the exchange writes and reads
//! that stream as if it were a connection of HTTP/1.1.

mod carrier;
mod carriers;
mod request;
mod response;
mod stream;

pub(crate) use carrier::Carrier;
pub(crate) use carriers::{Carriers, Way};
pub(crate) use stream::{Http2Stream, StreamError};
