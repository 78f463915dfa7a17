use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::send::{Place, Send};
use crate::Limits;
use crate::http1::response::is_hop_by_hop;
use crate::http1::response_head::{self, ResponseHead, ResponseLength};

/// What an exchange writes, as frames. A stream whose answer isn't complete when this is dropped is reset.
pub(super) struct Answer {
    part: Part,
    limits: Limits,
    /// The request was HEAD.
    bodiless: bool,
    /// The request was an extended CONNECT (RFC 8441).
    tunnel: bool,
}

enum Part {
    /// With the beginning of a head that hasn't come at once.
    Head(SendResponse<Bytes>, Vec<u8>),
    Body(Send),
}

impl Answer {
    pub(super) const fn new(
        respond: SendResponse<Bytes>,
        limits: Limits,
        bodiless: bool,
        tunnel: bool,
    ) -> Self {
        // What filters add to the head of a target doesn't count.
        let head_bytes = limits.head_bytes.saturating_mul(2);
        let limits = Limits { head_bytes, headers: usize::MAX, ..limits };
        Self { part: Part::Head(respond, Vec::new()), limits, bodiless, tunnel }
    }

    /// Takes the front of `bytes`. Answers how much that was.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.part {
            Part::Body(send) => send.poll_write(cx, bytes),
            Part::Head(..) => Poll::Ready(self.write_head(bytes)),
        }
    }

    pub(super) fn shutdown(&mut self) -> io::Result<()> {
        match &mut self.part {
            Part::Body(send) => send.shutdown(),
            Part::Head(..) => Ok(()),
        }
    }

    /// The stream carries frames of a WebSocket.
    pub(super) const fn is_tunnel(&self) -> bool {
        self.tunnel
    }

    /// The head of an answer, not an interim one, was sent.
    pub(super) const fn has_begun(&self) -> bool {
        matches!(self.part, Part::Body(_))
    }

    /// Ready when the client has reset the stream or is gone.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.part {
            Part::Head(respond, _) => respond.poll_reset(cx).map(drop),
            Part::Body(send) => send.poll_reset(cx),
        }
    }

    fn write_head(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Part::Head(_, held) = &mut self.part else { return Ok(0) };
        let before = held.len();
        if before > 0 {
            held.extend_from_slice(bytes);
        }
        let whole = if before > 0 { &**held } else { bytes };
        let Some(end) = response_head::find_end(whole, 0, &self.limits).map_err(io::Error::other)? else {
            if before == 0 {
                held.extend_from_slice(bytes);
            }
            return Ok(bytes.len());
        };
        let text = Bytes::copy_from_slice(whole.get(..end).unwrap_or_default());
        held.clear();
        let head = response_head::parse_complete(&text, end, &self.limits).map_err(io::Error::other)?;
        self.send_head(&head, &text)?;
        Ok(end.saturating_sub(before))
    }

    fn send_head(&mut self, head: &ResponseHead, text: &Bytes) -> io::Result<()> {
        let Part::Head(respond, _) = &mut self.part else { return Ok(()) };
        let opens = self.tunnel && head.status == 101;
        let mut response = Response::new(());
        *response.headers_mut() = fields(head, text, opens)?;
        *response.status_mut() = match head.status {
            _ if opens => StatusCode::OK,
            // The client would take it for the beginning of the tunnel.
            200..=299 if self.tunnel => StatusCode::BAD_GATEWAY,
            status => StatusCode::from_u16(status).map_err(io::Error::other)?,
        };
        if head.is_interim() {
            return respond.send_informational(response).map_err(io::Error::other);
        }
        let place = if opens { Place::Open } else { place(head.body(self.bodiless), &self.limits) };
        let ended = matches!(place, Place::Ended);
        let stream = respond.send_response(response, ended).map_err(io::Error::other)?;
        self.part = Part::Body(Send::new(stream, place, Reason::INTERNAL_ERROR));
        Ok(())
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Part::Head(respond, _) = &mut self.part {
            respond.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

/// Where the end of the body shows. Towards clients of HTTP/1.1 it is never the end of the connection.
fn place(length: ResponseLength, limits: &Limits) -> Place {
    match length {
        ResponseLength::None | ResponseLength::Length(0) => Place::Ended,
        ResponseLength::Length(length) => Place::Length(length),
        ResponseLength::Chunked | ResponseLength::Close => Place::chunked(limits),
    }
}

/// The fields that HTTP/2 has (RFC 9113 section 8.2.2); values are parts of `text`.
fn fields(head: &ResponseHead, text: &Bytes, opens: bool) -> io::Result<HeaderMap> {
    let mut fields = HeaderMap::with_capacity(head.fields.len());
    for field in &head.fields {
        let name = field.name.of(text);
        // The answer to a key that only the target has seen.
        let own = opens && name.eq_ignore_ascii_case(b"sec-websocket-accept");
        if own || is_hop_by_hop(name) {
            continue;
        }
        let name = HeaderName::from_bytes(name).map_err(io::Error::other)?;
        let value =
            HeaderValue::from_maybe_shared(text.slice(field.value.range())).map_err(io::Error::other)?;
        fields.try_append(name, value).map_err(io::Error::other)?;
    }
    Ok(fields)
}
