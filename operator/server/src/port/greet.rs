//! How a connection begins on a port that speaks TLS.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, copy, sink};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::PortTls;

/// The longest a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a client that is turned away may go on sending, so that what it is told isn't lost.
const FAREWELL: Duration = Duration::from_secs(1);

/// The answer to clients that don't speak TLS.
const PLAIN: &str = "this port speaks TLS: write https instead of http\n";

/// The connection inside TLS. `None`: the client is turned away, or gone.
pub(super) async fn greet(stream: TcpStream, tls: PortTls) -> Option<TlsStream<TcpStream>> {
    // An answer that waits for the acknowledgement of the tickets before it would be late.
    let _ = stream.set_nodelay(true);
    let turned_away = match timeout(HANDSHAKE, shake_hands(stream, tls)).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(turned_away)) => turned_away,
        Err(_) => {
            tracing::debug!("a client took too long for the handshake");
            None
        }
    };
    if let Some(mut stream) = turned_away {
        let farewell = async {
            stream.shutdown().await?;
            copy(&mut stream, &mut sink()).await
        };
        let _ = timeout(FAREWELL, farewell).await;
    }
    None
}

/// `Err` is the connection of a client that was told why it is turned away.
async fn shake_hands(
    mut stream: TcpStream,
    PortTls(config): PortTls,
) -> Result<TlsStream<TcpStream>, Option<TcpStream>> {
    if begins_as_http(&stream).await.map_err(|_| None)? {
        let answer = format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{PLAIN}",
            PLAIN.len()
        );
        stream.write_all(answer.as_bytes()).await.map_err(|_| None)?;
        return Err(Some(stream));
    }
    TlsAcceptor::from(config).accept(stream).into_fallible().await.map_err(|(error, stream)| {
        let client = stream.peer_addr().map(|client| client.to_string()).unwrap_or_default();
        tracing::debug!(client, %error, "the handshake failed");
        Some(stream)
    })
}

/// A method of HTTP is of capital letters; a handshake begins with the byte 22 (RFC 8446 section 5.1).
async fn begins_as_http(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    Ok(first.first().is_some_and(u8::is_ascii_uppercase))
}
