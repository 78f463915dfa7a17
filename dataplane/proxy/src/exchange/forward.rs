use std::future::poll_fn;

use bytes::Bytes;
use dataplane_core::{Choice, CompiledTarget, Decision, Matched, Router, Timeouts, Tried};
use dataplane_snapshot::wire::Protocol;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::deadlines::Deadlines;
use super::headers::{self, Sources};
use super::reach::{Freshness, reach};
use super::relay::{self, NoResponse, Relay, RequestSide, ResponseSide};
use super::request::{Request, RequestId};
use super::{Progress, tunnel};
use crate::Reason;
use crate::answer::{Failure, Place};
use crate::connection::{After, Connection};
use crate::http1::framing::BodyLength;
use crate::http1::head::{Head, Version};
use crate::http1::piece::{BodyReader, Coding};
use crate::http1::response::{self, Framing, Persistence};
use crate::http1::response_head::{ResponseHead, ResponseLength};
use crate::http1::{characters, fields};
use crate::upstream::PoolKey;

/// Routes a request, sends it to a target and its response to the client.
pub(super) async fn forward<'r, S>(
    connection: &mut Connection<S>,
    router: &'r Router,
    head: &Head,
    bytes: &Bytes,
    started: Instant,
    progress: &mut Progress<'r>,
) -> Result<After, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let listening = connection.listening.clone();
    let request = read(connection, head, bytes, &listening.listener.name)?;
    let matched = find(router, &request, progress)?;
    progress.place.backend = Some(&matched.backend.key);
    let choice = Choice {
        head: &request,
        tried: &Tried::default(),
        now: connection.thread.moment(started),
        random: connection.thread.draw.next(),
    };
    let target = matched
        .pick(&choice)
        .ok_or_else(|| Failure::new(Reason::NoTarget, "the backend has no target that takes requests"))?;
    if head.body == BodyLength::Chunked && target.protocol == Protocol::Http10 {
        let message = "the target speaks HTTP/1.0, which has no chunked bodies: send Content-Length";
        return Err(Failure::new(Reason::LengthRequired, message));
    }
    let side = request_side(connection, head)?;
    let outgoing = Outgoing {
        request: &request,
        matched: &matched,
        target,
        timeouts: matched.backend.timeouts(&request),
        upgrade: headers::upgrade(&request).filter(|_| target.protocol != Protocol::Http10),
    };
    let _in_flight = target.state.enter();
    let attempt = outgoing.attempt(connection, side, started).await?;
    if attempt.head.status != 101 {
        return attempt.answer(connection, &request, progress).await;
    }
    if outgoing.upgrade.is_none() {
        let message = "the target switched protocols without being asked";
        return Err(Failure::new(Reason::UpstreamMalformed, message));
    }
    attempt.upgrade(connection, progress).await
}

fn read<'a, S>(
    connection: &Connection<S>,
    head: &'a Head,
    bytes: &'a Bytes,
    listener: &'a str,
) -> Result<Request<'a>, Failure> {
    let trusted = &connection.thread.settings.trusted_proxies;
    let client = if connection.peer.trusted {
        let forwarded_for = fields::values(&head.fields, bytes, "x-forwarded-for");
        connection.peer.client_ip(forwarded_for, trusted)
    } else {
        connection.peer.ip
    };
    let id = RequestId { process: connection.thread.process, number: connection.thread.next_id() };
    Request::new(head, bytes, listener, client, id)
        .map_err(|error| Failure::new(Reason::BadPath, error.to_string()))
}

fn find<'r>(
    router: &'r Router,
    request: &Request<'_>,
    progress: &mut Progress<'r>,
) -> Result<Matched<'r>, Failure> {
    let not_found =
        || Failure::new(Reason::NoRoute, "no route matches this listener, host, path and request");
    let listener = router.listener_id(request.listener).ok_or_else(not_found)?;
    match router.route(listener, request) {
        Decision::Found(matched) => {
            progress.place.route = Some(&matched.route.key);
            Ok(matched)
        }
        Decision::Held { route, backend, reason } => {
            progress.place = Place { route: Some(route), backend };
            Err(Failure::new(Reason::RouteHeld, reason.to_owned()))
        }
        Decision::NotFound => Err(not_found()),
    }
}

/// The body of the request. A chunked body that is already wrong is found here, before a target hears of the request.
fn request_side<S>(connection: &Connection<S>, head: &Head) -> Result<RequestSide, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let reader = BodyReader::new(head.body, &connection.thread.settings.limits);
    reader
        .check(connection.stream.unread())
        .map_err(|error| Failure::new(error.reason(), error.to_string()))?;
    let coding = if head.body == BodyLength::Chunked { Coding::Chunked } else { Coding::Plain };
    Ok(RequestSide::new(reader, coding, head.expect_continue))
}

/// A request that is to be sent.
struct Outgoing<'a> {
    request: &'a Request<'a>,
    matched: &'a Matched<'a>,
    target: &'a CompiledTarget,
    timeouts: &'a Timeouts,
    upgrade: Option<&'a [u8]>,
}

/// A response that has begun.
struct Attempt<'a> {
    relay: Relay<'a>,
    key: PoolKey,
    head: ResponseHead,
    bytes: Bytes,
    /// The target was told that the connection may stay.
    persistent: bool,
}

impl<'a> Outgoing<'a> {
    /// Sends the request. One that was lost because the target had closed an idle connection is sent once more, on a new
    /// connection, if nothing of a body is gone and doing it twice does no harm (RFC 9112 section 9.3.1).
    async fn attempt<S>(
        &self,
        connection: &mut Connection<S>,
        mut side: RequestSide,
        started: Instant,
    ) -> Result<Attempt<'a>, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut deadlines = Deadlines::new(self.timeouts, started);
        let mut freshness = Freshness::Any;
        loop {
            let text = self.write(connection)?;
            let Connection { thread, timer, .. } = &mut *connection;
            let (key, mut upstream) =
                reach(thread, timer, self.target, self.timeouts, &deadlines, freshness).await?;
            upstream.stream.output.begin(text, &thread.buffers);
            // Connecting may have taken its time; an idle connection is there at once.
            let now = if upstream.reused { started } else { Instant::now() };
            let (received, sent) = (upstream.stream.received, upstream.stream.sent);
            let mut relay = Relay::new(upstream, side, self.timeouts, deadlines, now);
            let error = match poll_fn(|cx| relay.poll_head(connection, cx)).await {
                Ok((head, bytes)) => {
                    let persistent = self.target.protocol != Protocol::Http10;
                    return Ok(Attempt { relay, key, head, bytes, persistent });
                }
                Err(NoResponse::Failure(failure)) => return Err(failure),
                Err(NoResponse::Upstream(error)) => error,
            };
            let Relay { upstream, request, .. } = relay;
            let lost = upstream.reused && upstream.stream.received == received;
            let harmless = upstream.stream.sent == sent || self.is_idempotent();
            if !(lost && harmless && request.is_untouched()) {
                return Err(relay::upstream_failure(&error));
            }
            connection.thread.counters.upstream_retries.add(1);
            deadlines = deadlines.again(self.timeouts, Instant::now());
            (freshness, side) = (Freshness::New, request.again());
        }
    }

    /// The head for the target.
    fn write<S>(&self, connection: &mut Connection<S>) -> Result<Vec<u8>, Failure> {
        let Connection { thread, peer, listening, forwarded, .. } = connection;
        let head = self.request.head;
        forwarded.follow(&peer.text, &listening.listener.port, head.host.of(self.request.bytes));
        let mut out = thread.buffers.take_output();
        out.extend_from_slice(head.method.of(self.request.bytes));
        out.push(b' ');
        self.write_target(&mut out)?;
        let own = self.matched.destination.override_host || head.host.is_empty();
        let sources = Sources {
            trusted: peer.trusted,
            peer: &peer.text,
            port: &listening.listener.port,
            forwarded,
            host: own.then_some(&*self.target.host_header),
            upgrade: self.upgrade,
        };
        headers::write(&mut out, self.request, self.target.protocol, sources);
        Ok(out)
    }

    /// Appends path and query for the target. What a backend's root makes of them must be one target and nothing else.
    fn write_target(&self, out: &mut Vec<u8>) -> Result<(), Failure> {
        if self.request.head.target.asterisk {
            out.push(b'*');
            return Ok(());
        }
        let start = out.len();
        self.matched
            .write_target(self.request, out)
            .map_err(|error| Failure::new(Reason::BadRewrite, error.to_string()))?;
        let written = out.get(start..).unwrap_or_default();
        if written.first() == Some(&b'/') && characters::is_target(written) {
            return Ok(());
        }
        let message =
            "the backend's root doesn't give a path that begins with / and has only characters of a URL";
        Err(Failure::new(Reason::BadRewrite, message))
    }

    fn is_idempotent(&self) -> bool {
        // The parser let a token through, and that is all a method needs.
        let method = self.request.head.method.of(self.request.bytes);
        http::Method::from_bytes(method).is_ok_and(|method| method.is_idempotent())
    }
}

impl Attempt<'_> {
    /// Sends the response to the client.
    async fn answer<S>(
        self,
        connection: &mut Connection<S>,
        request: &Request<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<After, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Self { mut relay, key, head, bytes, persistent } = self;
        let length = head.body(request.head.method.of(request.bytes) == b"HEAD");
        let reader = BodyReader::of_response(length, &connection.thread.settings.limits);
        reader.check(relay.upstream.stream.unread()).map_err(|error| relay::malformed(&error))?;
        let framing = framing(length, request.head.version);
        let keeps = request.head.keep_alive
            && framing != Framing::Close
            && relay.request.reader.is_done()
            && !connection.is_stopping();
        let persistence = if keeps { Persistence::KeepAlive } else { Persistence::Close };
        let stream = &mut connection.stream;
        let ending = response::Ending { framing, persistence, version: request.head.version };
        response::head(stream.output.buffer(&stream.buffers), &head, &bytes, ending);
        progress.status = Some(head.status);
        let reusable = persistent && head.keep_alive && length != ResponseLength::Close;
        // The buffer it is in is wanted for the body.
        drop(bytes);
        let mut response = ResponseSide::new(reader, framing);
        poll_fn(|cx| relay.poll_body(connection, &mut response, cx)).await?;
        progress.consumed = relay.request.reader.is_done();
        connection.now = Instant::now();
        if reusable {
            relay.keep_upstream(connection, key);
        }
        Ok(match (keeps, progress.consumed) {
            (true, _) => After::KeepAlive,
            (false, true) => After::Close,
            (false, false) => After::Linger,
        })
    }

    /// Hands the connection over to the protocol that both sides agreed on.
    async fn upgrade<S>(
        mut self,
        connection: &mut Connection<S>,
        progress: &mut Progress<'_>,
    ) -> Result<After, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        progress.status = Some(self.head.status);
        connection.thread.counters.upgraded.add(1);
        let stream = &mut connection.stream;
        response::switching(stream.output.buffer(&stream.buffers), &self.head, &self.bytes);
        poll_fn(|cx| connection.stream.poll_flush(cx))
            .await
            .map_err(|_| Failure::new(Reason::ClientGone, ""))?;
        let buffers = connection.thread.buffers.clone();
        let idle = self.relay.idle_timeout();
        let (io, unread) = connection.stream.tunnel();
        let (target, answered) = self.relay.upstream.stream.tunnel();
        let early = (unread, answered);
        let ended = Box::pin(tunnel::run(io, target, early, idle, &mut connection.timer, &buffers)).await;
        connection.stream.received += ended.received;
        connection.stream.sent += ended.sent;
        connection.now = Instant::now();
        if ended.idle {
            connection.thread.counters.reason(Reason::IdleTimeout);
        }
        Ok(After::Abort)
    }
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
