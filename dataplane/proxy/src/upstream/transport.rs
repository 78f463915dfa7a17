use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use http::uri::Scheme;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::http2::upstream::Http2Stream;
use crate::tls::TlsStream;

/// What carries the bytes of an upstream connection.
pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<Self>>),
    /// Inside TLS with a forward proxy: what the target is sent, as it is.
    Tunnel(Box<TlsStream<Self>>),
    Http2(Box<Http2Stream>),
}

impl Transport {
    /// Open, and nothing was said that nobody has read. This is a system call only if the kernel had something to tell.
    pub(crate) fn is_quiet(&mut self) -> bool {
        match self {
            Self::Plain(stream) => {
                stream.try_read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
            // What TLS itself is told, such as session tickets, is taken in on the way.
            Self::Tls(stream) | Self::Tunnel(stream) => {
                let mut cx = Context::from_waker(Waker::noop());
                Pin::new(&mut **stream).poll_read(&mut cx, &mut ReadBuf::new(&mut [0])).is_pending()
            }
            // One request is all that a stream is for.
            Self::Http2(_) => false,
        }
    }

    /// The target did nothing with what was written, whatever that was.
    pub(crate) const fn is_unsent(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Tls(_) | Self::Tunnel(_) => false,
            Self::Http2(stream) => stream.is_unsent(),
        }
    }

    /// HTTP/2 is to be spoken on it with a target for which that is wanted: by prior knowledge, or as TLS agreed on.
    pub(crate) fn carries_http2(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Tunnel(_) => true,
            Self::Tls(stream) => stream.is_http2(),
            Self::Http2(_) => false,
        }
    }

    /// What `:scheme` says of it.
    pub(crate) const fn scheme(&self) -> Scheme {
        match self {
            Self::Plain(_) | Self::Tunnel(_) | Self::Http2(_) => Scheme::HTTP,
            Self::Tls(_) => Scheme::HTTPS,
        }
    }
}

impl AsyncRead for Transport {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) | Self::Tunnel(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Http2(stream) => Pin::new(&mut **stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) | Self::Tunnel(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Http2(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) | Self::Tunnel(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Http2(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) | Self::Tunnel(stream) => stream.is_write_vectored(),
            Self::Http2(_) => false,
        }
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) | Self::Tunnel(stream) => Pin::new(stream).poll_flush(cx),
            Self::Http2(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) | Self::Tunnel(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Http2(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}
