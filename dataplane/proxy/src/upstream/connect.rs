use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::net::TcpStream;

use super::{Transport, Upstream};
use crate::Limits;
use crate::buffers::Buffers;
use crate::http1::stream::Stream;

#[derive(Debug, thiserror::Error)]
#[error("connecting to {0}: {1}")]
pub(crate) struct ConnectError(SocketAddr, io::Error);

/// Opens a connection. Bounded by the caller's connection timeout.
pub(crate) async fn connect(
    address: SocketAddr,
    buffers: Rc<Buffers>,
    limits: Limits,
) -> Result<Box<Upstream>, ConnectError> {
    let stream = TcpStream::connect(address).await.map_err(|error| ConnectError(address, error))?;
    stream.set_nodelay(true).map_err(|error| ConnectError(address, error))?;
    Ok(Box::new(Upstream::new(Stream::new(Transport::Plain(stream), buffers, limits))))
}
