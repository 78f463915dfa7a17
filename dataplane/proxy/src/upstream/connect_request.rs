//! CONNECT to a forward proxy (RFC 9110 section 9.3.6).

use std::io;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dataplane_core::Credentials;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::via::{Hop, Via, ViaError};
use crate::Limits;
use crate::http1::response_head::{self, ResponseError};

/// Bytes of all heads that a proxy may answer with.
const HEADS: usize = 16 * 1024;

/// Asks the proxy at the other end of `io` to connect to the target, and reads its answer to its very end: what follows is
/// the target's.
pub(super) async fn open<T>(via: &Via<'_>, io: &mut T) -> Result<(), ViaError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    io.write_all(request(via).as_bytes()).await?;
    io.flush().await?;
    via.is_being_asked();
    let mut left = HEADS;
    loop {
        match answer(io, &mut left).await? {
            // Nobody asked for another protocol.
            101 => return Err(ResponseError::StatusLine.into()),
            100..=199 => {}
            200..=299 => return Ok(()),
            407 => return Err(ViaError::Credentials),
            // It doesn't know CONNECT, or not like this.
            status @ (501 | 505) => return Err(ViaError::Status(status)),
            status @ 500..=599 => return Err(ViaError::Failed(status)),
            status => return Err(ViaError::Status(status)),
        }
    }
}

fn request(via: &Via<'_>) -> String {
    let Hop { hostname, ip, port } = via.target;
    let host = match ip {
        Some(IpAddr::V6(ip)) => format!("[{ip}]"),
        Some(ip) => ip.to_string(),
        None => hostname.to_owned(),
    };
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nhost: {host}:{port}\r\n");
    if let Some(Credentials { principal, password }) = &via.proxy.credentials {
        // RFC 7617, in UTF-8.
        let token = STANDARD.encode(format!("{principal}:{password}"));
        request.push_str(&format!("proxy-authorization: Basic {token}\r\n"));
    }
    request.push_str("\r\n");
    request
}

/// The status of the next head, which takes its bytes from those that are `left`.
async fn answer<T: AsyncRead + Unpin>(io: &mut T, left: &mut usize) -> Result<u16, ViaError> {
    let limits = Limits { head_bytes: *left, ..Limits::default() };
    let mut head = Vec::with_capacity(512);
    loop {
        let seen = head.len();
        let mut piece = [0; END.len()];
        let room = piece.get_mut(..missing(&head)).unwrap_or_default();
        let read = io.read(room).await?;
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        head.extend_from_slice(room.get(..read).unwrap_or_default());
        // The line end before what is new may be a part of the end.
        if let Some(end) = response_head::find_end(&head, seen.saturating_sub(END.len()), &limits)? {
            *left = left.saturating_sub(end);
            return Ok(response_head::status_of(&head, end)?);
        }
    }
}

/// How a head ends.
const END: &[u8] = b"\r\n\r\n";

/// The fewest bytes that end the head which begins with `head`: so many can be read without taking what isn't the head's.
fn missing(head: &[u8]) -> usize {
    let begun = (1..END.len()).rev().find(|begun| head.ends_with(END.get(..*begun).unwrap_or_default()));
    END.len() - begun.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status, and what is left for the target.
    fn read(mut bytes: &[u8]) -> (Result<u16, String>, &[u8]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut left = HEADS;
        let status = runtime.block_on(answer(&mut bytes, &mut left)).map_err(|error| error.to_string());
        (status, bytes)
    }

    #[test]
    fn what_follows_the_head_is_left_alone() {
        for head in [
            "HTTP/1.1 200\r\n\r\n",
            "HTTP/1.0 200 Connection established\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\nVia: 1.1 p\r\n\r\n",
        ] {
            for rest in ["", "\r\n\r\nHTTP/1.1 500 No\r\n\r\n", "x"] {
                let (status, left) = read_all(&format!("{head}{rest}"));
                assert_eq!((status, &*left), (Ok(200), rest), "{head}");
            }
        }
    }

    fn read_all(text: &str) -> (Result<u16, String>, String) {
        let (status, left) = read(text.as_bytes());
        (status, String::from_utf8(left.to_vec()).unwrap())
    }

    #[test]
    fn lengths_of_a_success_mean_nothing() {
        let head =
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(read_all(head), (Ok(200), String::new()));
    }

    #[test]
    fn what_is_no_head_is_refused() {
        let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(HEADS));
        for (bad, part) in [
            ("SSH-2.0-OpenSSH\r\n", "status line"),
            ("HTTP/1.1 OK\r\n\r\n", "status line"),
            ("HTTP/1.1 200 OK\n\n", "LF alone"),
            ("HTTP/1.1 200 OK\r\nA b\r\n\r\n", "no colon"),
            ("HTTP/1.1 200 OK\r\nA: b\r\n", "broke off"),
            ("", "broke off"),
            (&*long, "too large"),
        ] {
            let reason = read_all(bad).0.unwrap_err();
            assert!(reason.contains(part), "{reason}");
        }
    }
}
