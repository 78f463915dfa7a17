use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Activity, Transport, Upstream};

/// Most bytes that hyper holds per connection in one direction. A response head has to fit.
const BUFFER: usize = 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("connecting to {0}: {1}")]
    Tcp(SocketAddr, io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
}

/// Opens a connection. Bounded by the caller's connection timeout.
pub(crate) async fn connect(address: SocketAddr) -> Result<Box<Upstream>, ConnectError> {
    let stream = TcpStream::connect(address).await.map_err(|error| ConnectError::Tcp(address, error))?;
    stream.set_nodelay(true).map_err(|error| ConnectError::Tcp(address, error))?;
    let activity = Rc::new(Activity::default());
    let io = TokioIo::new(Transport::new(stream, activity.clone()));
    let (sender, connection) = http1::Builder::new().max_buf_size(BUFFER).handshake(io).await?;
    Ok(Box::new(Upstream::new(sender, connection, activity)))
}
