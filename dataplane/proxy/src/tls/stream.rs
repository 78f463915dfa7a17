use std::io::{self, BufRead as _, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::Connection;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::HTTP2;

/// A byte stream inside TLS, of either side. What is to be sent is held until there is something to send it with: the
/// client's last flight goes out with its request, and a server's tickets with its answer.
pub(crate) struct TlsStream<T> {
    io: T,
    session: Connection,
    /// The last write of ciphertext had to wait. Nothing more is taken until all is out.
    blocked: bool,
    /// `close_notify` was sent.
    closing: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin> TlsStream<T> {
    pub(super) const fn new(io: T, session: Connection) -> Self {
        Self { io, session, blocked: false, closing: false }
    }

    pub(super) fn into_io(self) -> T {
        self.io
    }

    /// The handshake begins with `bytes`, which were read before.
    pub(super) fn feed(&mut self, mut bytes: &[u8], cx: &mut Context<'_>) -> io::Result<()> {
        while !bytes.is_empty() {
            self.session.read_tls(&mut bytes)?;
            self.process(cx)?;
        }
        Ok(())
    }

    /// Ready when both sides know each other as far as they have to.
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.is_handshaking() {
            ready!(self.poll_send(cx))?;
            if ready!(self.poll_receive(cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        // Since TLS 1.3 the other side doesn't wait for more.
        if self.session.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3) {
            return Poll::Ready(Ok(()));
        }
        self.poll_send(cx)
    }

    /// The certificate of the other side first.
    pub(super) fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        self.session.peer_certificates().unwrap_or_default()
    }

    /// What both sides agreed to go on in (RFC 7301).
    pub(super) fn protocol(&self) -> Option<&[u8]> {
        self.session.alpn_protocol()
    }

    /// That is HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.protocol() == Some(HTTP2)
    }

    /// The handshake went on where an earlier connection had been.
    pub(super) fn is_resumed(&self) -> bool {
        self.session.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    /// Sends all ciphertext there is.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            let mut io = Blocking { io: &mut self.io, cx };
            match self.session.write_tls(&mut io) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return Poll::Pending;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.blocked = false;
        Poll::Ready(Ok(()))
    }

    /// Reads ciphertext once. 0 is the end of what carries it.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut io = Blocking { io: &mut self.io, cx };
        let len = match self.session.read_tls(&mut io) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        };
        self.process(cx)?;
        Poll::Ready(Ok(len))
    }

    fn process(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Err(error) = self.session.process_new_packets() {
            // An alert says why, if it goes out at once.
            let _ = self.poll_send(cx);
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(())
    }

    /// Encrypts by `write` what it can take.
    fn poll_encrypt(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(&mut rustls::Writer<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if self.blocked {
            ready!(self.poll_send(cx))?;
        }
        let len = write(&mut self.session.writer())?;
        match self.poll_send(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(len)),
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        loop {
            let mut reader = stream.session.reader();
            match reader.fill_buf() {
                Ok(plain) => {
                    let len = plain.len().min(buffer.remaining());
                    buffer.put_slice(plain.get(..len).unwrap_or_default());
                    reader.consume(len);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The end without close_notify: somebody may have cut it.
                Err(error) => return Poll::Ready(Err(error)),
            }
            match stream.poll_receive(cx) {
                Poll::Ready(received) => received.map(drop)?,
                Poll::Pending => {
                    // What was held would wait for an answer to a question that may never come.
                    if stream.session.wants_write()
                        && let Poll::Ready(Err(error)) = stream.poll_send(cx)
                    {
                        return Poll::Ready(Err(error));
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_encrypt(cx, |writer| writer.write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_encrypt(cx, |writer| writer.write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        ready!(stream.poll_send(cx))?;
        Pin::new(&mut stream.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if !stream.closing {
            stream.closing = true;
            stream.session.send_close_notify();
        }
        ready!(stream.poll_send(cx))?;
        Pin::new(&mut stream.io).poll_shutdown(cx)
    }
}

/// What carries the ciphertext, as rustls reads and writes it: waiting is an error of its own.
struct Blocking<'a, 'c, T> {
    io: &'a mut T,
    cx: &'a mut Context<'c>,
}

fn or_block<O>(poll: Poll<io::Result<O>>) -> io::Result<O> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl<T: AsyncRead + Unpin> Read for Blocking<'_, '_, T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(bytes);
        or_block(Pin::new(&mut *self.io).poll_read(self.cx, &mut buffer))?;
        Ok(buffer.filled().len())
    }
}

impl<T: AsyncWrite + Unpin> Write for Blocking<'_, '_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        or_block(Pin::new(&mut *self.io).poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        or_block(Pin::new(&mut *self.io).poll_write_vectored(self.cx, slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
