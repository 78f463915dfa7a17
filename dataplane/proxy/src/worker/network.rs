use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// How leaders are reached. There is one, [`Tcp`]; tests have others.
pub trait Network: Send + Sync {
    /// Opens a connection to `host`, a name or an address. Who calls bounds how long that may take.
    fn connect(&self, host: &str, port: u16) -> Connecting;
}

/// A connection to a leader, below TLS.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Connection>>> + Send>>;

/// By TCP, and by the names of the system.
pub struct Tcp;

impl Network for Tcp {
    fn connect(&self, host: &str, port: u16) -> Connecting {
        let host = host.to_owned();
        Box::pin(async move {
            let stream = TcpStream::connect((host, port)).await?;
            Ok(Box::new(stream) as Box<dyn Connection>)
        })
    }
}
