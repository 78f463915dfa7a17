use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use h2::client::ResponseFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::carrier::{Carrier, Slot};
use super::request::{self, RequestError};
use super::response;
use crate::Reason;
use crate::http1::framing::BodyLength;
use crate::http2::receive::Receive;
use crate::http2::send::{Place, Send};

/// How long a stream stays whose body was read to its announced length, for the frame that ends it.
const END_IN: Duration = Duration::from_secs(1);

/// One request to a target by HTTP/2, as a connection of HTTP/1.1 that takes it and gives the response. Dropped before
/// its end it tells the target to stop (RST_STREAM with CANCEL).
pub(crate) struct Http2Stream {
    state: State,
    request: Option<Send>,
    /// Text of the response that is read before its body.
    text: BytesMut,
    /// The request is HEAD.
    is_head: bool,
    failed: Option<StreamError>,
    slot: Slot,
}

enum State {
    /// The head of the request so far.
    Asking(BytesMut),
    Waiting(ResponseFuture),
    Answering {
        body: Receive,
        /// Bytes that are still to come, where the head has told.
        left: Option<u64>,
    },
}

/// Why a request got no response, or not all of it.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("{0}")]
    Request(#[from] RequestError),
    /// Nothing of the request was looked at (RFC 9113 section 8.7).
    #[error("the target didn't take the request: {0}")]
    Refused(String),
    #[error("the target ended the stream: {0}")]
    Broken(String),
    /// RFC 8441 section 3.
    #[error("the target speaks HTTP/2 and doesn't offer to switch protocols on a stream of it")]
    NoUpgrade,
}

impl StreamError {
    pub(crate) const fn reason(&self) -> Reason {
        match self {
            Self::Request(_) => Reason::MalformedHead,
            Self::NoUpgrade => Reason::UpgradeRefused,
            Self::Refused(_) | Self::Broken(_) => Reason::UpstreamClosed,
        }
    }
}

impl From<h2::Error> for StreamError {
    fn from(error: h2::Error) -> Self {
        let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM) || error.is_go_away();
        let text = error.to_string();
        if error.is_remote() && refused { Self::Refused(text) } else { Self::Broken(text) }
    }
}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> Self {
        Self::new(io::ErrorKind::ConnectionAborted, error)
    }
}

impl Http2Stream {
    pub(crate) fn new(carrier: Rc<Carrier>) -> Self {
        Self {
            state: State::Asking(BytesMut::new()),
            request: None,
            text: BytesMut::new(),
            is_head: false,
            failed: None,
            slot: Slot::new(carrier),
        }
    }

    /// The target has seen nothing of the request, or has said that it did nothing with it.
    pub(crate) const fn is_unsent(&self) -> bool {
        matches!(self.state, State::Asking(_)) || matches!(self.failed, Some(StreamError::Refused(_)))
    }

    fn fail(&mut self, error: impl Into<StreamError>) -> io::Error {
        self.failed.get_or_insert(error.into()).clone().into()
    }

    /// Takes the bytes of the head, and sends it once it is whole.
    fn ask(&mut self, bytes: &[u8]) -> Result<usize, StreamError> {
        const END: &[u8] = b"\r\n\r\n";
        let State::Asking(head) = &mut self.state else { return Ok(0) };
        let before = head.len();
        head.extend_from_slice(bytes);
        let from = before.saturating_sub(END.len() - 1);
        let end =
            memchr::memmem::find(head.get(from..).unwrap_or_default(), END).map(|at| from + at + END.len());
        let Some(end) = end else { return Ok(bytes.len()) };
        let head = head.split_to(end).freeze();
        let carrier = self.slot.carrier();
        let said = request::request(&head, carrier.scheme.clone())?;
        if said.upgrade {
            return Err(StreamError::NoUpgrade);
        }
        self.is_head = said.is_head;
        let place = match said.body {
            BodyLength::None | BodyLength::Length(0) => Place::Ended,
            BodyLength::Length(length) => Place::Length(length),
            BodyLength::Chunked => Place::chunked(&carrier.limits),
        };
        let (response, stream) = carrier.send(said.request, said.body.is_empty())?;
        self.request = Some(Send::new(stream, place, h2::Reason::CANCEL));
        self.state = State::Waiting(response);
        Ok(end - before)
    }

    /// Reads heads until the final one is there.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        let State::Waiting(response) = &mut self.state else { return Poll::Ready(Ok(())) };
        while let Poll::Ready(Some(interim)) = response.poll_informational(cx) {
            response::interim(&mut self.text, &interim?);
        }
        if !self.text.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let (parts, body) = ready!(Pin::new(response).poll(cx))?.into_parts();
        let coding = response::head(&mut self.text, &parts, self.is_head, body.is_end_stream());
        let left = response::length(&parts, self.is_head, coding);
        self.state = State::Answering { body: Receive::new(body, coding), left };
        Poll::Ready(Ok(()))
    }
}

/// Many targets end a stream with a frame of its own behind the body. Who has read the body goes away before that comes,
/// and to reset such streams isn't only waste: a target that counts resets (CVE-2023-44487) would close the connection.
impl Drop for Http2Stream {
    fn drop(&mut self) {
        let asked = self.request.as_ref().is_none_or(Send::is_ended);
        let state = std::mem::replace(&mut self.state, State::Asking(BytesMut::new()));
        let State::Answering { body, left: Some(0) } = state else { return };
        if asked && self.failed.is_none() && !body.is_ended() {
            let (request, slot) = (self.request.take(), self.slot.again());
            tokio::task::spawn_local(async move {
                let _ = tokio::time::timeout(END_IN, body.end()).await;
                drop((request, slot));
            });
        }
    }
}

impl AsyncRead for Http2Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(error) = &this.failed {
            return Poll::Ready(Err(error.clone().into()));
        }
        if this.text.is_empty()
            && let Err(error) = ready!(this.poll_head(cx))
        {
            return Poll::Ready(Err(this.fail(error)));
        }
        if !this.text.is_empty() {
            let part = this.text.get(..out.remaining()).unwrap_or(&this.text);
            let len = part.len();
            out.put_slice(part);
            this.text.advance(len);
            return Poll::Ready(Ok(()));
        }
        match &mut this.state {
            State::Answering { body, left } => {
                let before = out.filled().len();
                let read = body.poll_read(cx, out);
                let len = out.filled().len() - before;
                *left = left.map(|left| left.saturating_sub(len as u64));
                read
            }
            // Nobody has asked for anything.
            State::Asking(_) | State::Waiting(_) => Poll::Pending,
        }
    }
}

impl AsyncWrite for Http2Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if matches!(this.state, State::Asking(_)) {
            let asked = this.ask(bytes);
            return Poll::Ready(asked.map_err(|error| this.fail(error)));
        }
        // What can't be sent is no failure of the response, which may be on its way.
        match &mut this.request {
            Some(request) => request.poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// All that was taken is on its way.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The end of a request is in its framing.
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
