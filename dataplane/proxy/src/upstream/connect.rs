//! The one place that opens connections to targets: a request's, and a health check's.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::net::TcpStream;

use super::via::{Via, ViaError};
use super::{Transport, Upstream};
use crate::buffers::Buffers;
use crate::http1::stream::Stream;
use crate::tls::{Connector, TlsTrouble};
use crate::{Limits, Reason};

/// Why a connection couldn't be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("connecting to {0}: {1}")]
    Tcp(SocketAddr, io::Error),
    #[error("{0}")]
    Via(#[from] ViaError),
    #[error("{0}")]
    Tls(#[from] TlsTrouble),
}

impl DialError {
    pub(crate) const fn reason(&self) -> Reason {
        match self {
            Self::Tcp(..) => Reason::ConnectionFailed,
            Self::Via(error) => error.reason(),
            Self::Tls(_) => Reason::TlsFailed,
        }
    }
}

/// Opens a connection and all that lies between TCP and what the target speaks. `address` is the target's, or that of the
/// forward proxy on the way. Takes as long as it takes: the caller has a connection timeout.
pub(crate) async fn dial(
    address: SocketAddr,
    via: Option<&Via<'_>>,
    tls: Option<&Connector>,
) -> Result<Transport, DialError> {
    let failed = |error| match via {
        None => DialError::Tcp(address, error),
        Some(_) => ViaError::Unreachable(address, error).into(),
    };
    if let Some(via) = via {
        via.begins();
    }
    let stream = TcpStream::connect(address).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let mut transport = Transport::Plain(stream);
    if let Some(via) = via {
        transport = via.open(transport).await?;
    }
    Ok(match tls {
        None => transport,
        Some(tls) => Transport::Tls(Box::new(tls.connect(transport).await?)),
    })
}

/// A new connection for requests.
pub(crate) async fn connect(
    address: SocketAddr,
    via: Option<&Via<'_>>,
    tls: Option<&Connector>,
    buffers: Rc<Buffers>,
    limits: Limits,
) -> Result<Box<Upstream>, DialError> {
    let transport = dial(address, via, tls).await?;
    Ok(Box::new(Upstream::new(Stream::new(transport, buffers, limits))))
}
