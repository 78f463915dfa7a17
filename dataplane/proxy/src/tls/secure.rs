//! A client's connection on its way into TLS.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use dataplane_core::ClientCertificates;
use rustls::ServerConnection;
use tokio::net::TcpStream;

use super::{Acceptor, HTTP2, TlsStream, client_certificate};
use crate::Reason;
use crate::answer::Failure;
use crate::connection::Connection;

/// The first byte of a record with a handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// Serves a connection that a listener with TLS accepted.
pub(crate) async fn secure(mut connection: Connection<TcpStream>) {
    if !connection.begin().await {
        return;
    }
    let Some(tls) = &connection.listening.listener.tls else { return };
    let acceptor = tls.load_full();
    let first = poll_fn(|cx| match connection.stream.poll_first(cx) {
        Poll::Ready(first) => Poll::Ready(first),
        Poll::Pending => connection.poll_beginning(cx).map(|()| None),
    });
    match first.await {
        // Whoever only knocks isn't worth a word, as without TLS.
        None => {}
        Some(HANDSHAKE) => shake_hands(connection, &acceptor).await,
        Some(letter) if letter.is_ascii_uppercase() => {
            let message = "this port speaks TLS: write https instead of http";
            connection.dismiss(Some(&Failure::new(Reason::PlainHttp, message))).await;
        }
        Some(_) => {
            connection.thread.counters.reason(Reason::TlsHandshakeFailed);
            tracing::debug!(
                listener = %connection.listening.listener.name, client = %connection.peer.text,
                "the handshake failed: the client doesn't speak TLS"
            );
        }
    }
}

/// Serves what comes after the handshake, or ends the connection.
async fn shake_hands(connection: Connection<TcpStream>, acceptor: &Acceptor) {
    let (io, hello, mut connection) = connection.with_io(());
    let session = match ServerConnection::new(acceptor.config.clone()) {
        Ok(session) => session,
        Err(error) => return note(&connection, &io::Error::other(error)),
    };
    let mut stream = TlsStream::new(io, session.into());
    let done = shaken(&mut connection, &mut stream, hello).await;
    if let Err(error) = done {
        note(&connection, &error);
        let (_, _, connection) = connection.with_io(stream.into_io());
        // The alert isn't to be destroyed by what the client still sends.
        return connection.dismiss(None).await;
    }
    let thread = &connection.thread;
    let counter =
        if stream.is_resumed() { &thread.counters.tls_resumptions } else { &thread.counters.tls_handshakes };
    counter.add(1);
    Rc::make_mut(&mut connection.peer).certificate = certificate(&stream, &acceptor.clients);
    let http2 = stream.protocol() == Some(HTTP2);
    let (_, _, connection) = connection.with_io(stream);
    if http2 {
        // On the heap, as its memory would be part of that of every connection.
        Box::pin(connection.serve_http2()).await;
    } else {
        connection.serve_requests().await;
    }
}

async fn shaken(
    connection: &mut Connection<()>,
    stream: &mut TlsStream<TcpStream>,
    hello: Bytes,
) -> io::Result<()> {
    let mut hello = Some(hello);
    poll_fn(|cx| {
        if let Some(hello) = hello.take() {
            stream.feed(&hello, cx)?;
        }
        match stream.poll_handshake(cx) {
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending => connection.poll_beginning(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    })
    .await
}

/// The fields by which targets learn of the client's certificate; `None`: clients aren't asked.
fn certificate(stream: &TlsStream<TcpStream>, clients: &ClientCertificates) -> Option<Box<[u8]>> {
    match clients {
        ClientCertificates::Ignored => None,
        ClientCertificates::Optional(trust) | ClientCertificates::Required(trust) => {
            Some(if trust.forwarded {
                client_certificate::fields(stream.peer_certificates())
            } else {
                Box::default()
            })
        }
    }
}

/// For metrics, and for whoever looks for the cause.
fn note(connection: &Connection<()>, error: &io::Error) {
    let reason = match error.kind() {
        io::ErrorKind::TimedOut => Reason::TlsHandshakeTimeout,
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            Reason::ClientGone
        }
        _ => Reason::TlsHandshakeFailed,
    };
    connection.thread.counters.reason(reason);
    tracing::debug!(
        listener = %connection.listening.listener.name, client = %connection.peer.text, %error,
        "the handshake failed"
    );
}
