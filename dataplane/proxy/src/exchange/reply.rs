//! The response on its way to the client.

use std::future::poll_fn;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::attempt::Attempt;
use super::relay::{self, RequestSide, ResponseSide};
use super::request::Request;
use super::{Progress, persistence, tunnel};
use crate::Reason;
use crate::answer::Failure;
use crate::connection::{After, Connection};
use crate::http1::fields;
use crate::http1::head::Version;
use crate::http1::piece::BodyReader;
use crate::http1::response::{self, Framing, Persistence};
use crate::http1::response_head::{ResponseHead, ResponseLength};

impl Attempt<'_> {
    /// Sends the response to the client.
    pub(super) async fn answer<S>(
        self,
        connection: &mut Connection<S>,
        request: &Request<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<After, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Self { mut relay, key, head, bytes, persistent, backend, target, in_flight: _in_flight, .. } =
            self;
        let length = head.body(request.head.method.of(request.bytes) == b"HEAD");
        let reader = BodyReader::of_response(length, &connection.thread.settings.limits);
        reader.check(relay.upstream.stream.unread()).map_err(|error| relay::malformed(&error))?;
        if relay.is_limited() && is_endless(&head, &bytes) {
            relay.unlimit();
        }
        let framing = framing(length, request.head.version);
        let framed = framing != Framing::Close && relay.request.reader.is_done();
        let persistence = persistence(connection, request.head, framed);
        let stream = &mut connection.stream;
        let ending = response::Ending {
            framing,
            persistence,
            version: request.head.version,
            edits: progress.edits(request.head, request.bytes),
        };
        let cookie = |out: &mut Vec<u8>| backend.write_cookie(request, target, out);
        response::head(stream.output.buffer(&stream.buffers), &head, &bytes, cookie, ending);
        progress.status = Some(head.status);
        let reusable = persistent && head.keep_alive && length != ResponseLength::Close;
        let keeps_for = head.keeps_for;
        // The buffer it is in is wanted for the body.
        drop(bytes);
        let mut response = ResponseSide::new(reader, framing);
        poll_fn(|cx| relay.poll_body(connection, &mut response, cx)).await?;
        progress.consumed = relay.request.reader.is_done();
        connection.now = Instant::now();
        if reusable {
            relay.keep_upstream(connection, key, keeps_for);
        }
        Ok(match (persistence, progress.consumed) {
            (Persistence::KeepAlive, _) => After::KeepAlive,
            (Persistence::Close, true) => After::Close,
            (Persistence::Close, false) => After::Linger,
        })
    }

    /// Lets go of the response, as another one is wanted. The connection can be used again if the rest of the response is
    /// already here.
    pub(super) async fn discard<S>(self, connection: &Connection<S>, is_head: bool) -> RequestSide {
        let Self { mut relay, key, head, bytes, persistent, .. } = self;
        let length = head.body(is_head);
        if !(persistent && head.keep_alive && length != ResponseLength::Close && head.status != 101) {
            return relay.request;
        }
        drop(bytes);
        let reader = BodyReader::of_response(length, &connection.thread.settings.limits);
        let mut reader = Some(reader);
        let whole =
            poll_fn(|cx| Poll::Ready(reader.take().is_some_and(|reader| relay.poll_rest(reader, cx))));
        if whole.await { relay.keep_upstream(connection, key, head.keeps_for) } else { relay.request }
    }

    /// Hands the connection over to the protocol that both sides agreed on.
    pub(super) async fn upgrade<S>(
        mut self,
        connection: &mut Connection<S>,
        request: &Request<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<After, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        progress.status = Some(self.head.status);
        connection.thread.counters.upgraded.add(1);
        // A tunnel may last for days, and takes no request's turn.
        self.relay.upstream.rise();
        let stream = &mut connection.stream;
        let cookie = |out: &mut Vec<u8>| self.backend.write_cookie(request, self.target, out);
        response::switching(stream.output.buffer(&stream.buffers), &self.head, &self.bytes, cookie);
        // The buffer it is in would be held as long as the tunnel lasts.
        drop(std::mem::take(&mut self.bytes));
        poll_fn(|cx| connection.stream.poll_flush(cx))
            .await
            .map_err(|_| Failure::new(Reason::ClientGone, ""))?;
        let buffers = connection.thread.buffers.clone();
        let idle = self.relay.idle_timeout();
        let (io, unread) = connection.stream.tunnel();
        let (target, answered) = self.relay.upstream.stream.tunnel();
        // That was counted when it was read.
        let counted = unread.len() as u64;
        let early = (unread, answered);
        let ended = Box::pin(tunnel::run(io, target, early, idle, &mut connection.timer, &buffers)).await;
        connection.stream.received += ended.received.saturating_sub(counted);
        connection.stream.sent += ended.sent;
        connection.now = Instant::now();
        if ended.idle {
            connection.thread.counters.reason(Reason::IdleTimeout);
        }
        Ok(After::Abort)
    }
}

/// Event streams and calls of gRPC last as long as both sides want.
pub(super) fn is_endless(head: &ResponseHead, bytes: &[u8]) -> bool {
    let starts = |value: &[u8], kind: &[u8]| {
        value.get(..kind.len()).is_some_and(|front| front.eq_ignore_ascii_case(kind))
    };
    fields::values(&head.fields, bytes, "content-type")
        .any(|value| starts(value, b"text/event-stream") || starts(value, b"application/grpc"))
}

/// How the response's end is shown to the client.
const fn framing(length: ResponseLength, version: Version) -> Framing {
    match (length, version) {
        (ResponseLength::None, _) => Framing::None,
        (ResponseLength::Length(length), _) => Framing::Length(length),
        (ResponseLength::Chunked | ResponseLength::Close, Version::Http11) => Framing::Chunked,
        (ResponseLength::Chunked | ResponseLength::Close, Version::Http10) => Framing::Close,
    }
}
