use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::pin;

use bytes::Bytes;
use dataplane_core::{CompiledTarget, Decision, Matched, Router, Timeouts};
use dataplane_snapshot::wire::Protocol;
use http::{Method, Response, StatusCode, Uri, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::deadlines::Deadlines;
use super::headers::{self, Sources};
use super::reach::{Freshness, reach};
use super::relay::{self, NoResponse, Relay, RequestSide, ResponseSide};
use super::request::{Request, RequestId};
use super::{Progress, tunnel};
use crate::Reason;
use crate::answer::Failure;
use crate::connection::{After, Connection};
use crate::http1::framing::BodyLength;
use crate::http1::head::{self, Head};
use crate::http1::response::{self, Framing, Persistence};
use crate::http1::stream::BodyReader;
use crate::upstream::{PoolKey, RequestBody, Slot};

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
    let target = matched
        .pick()
        .ok_or_else(|| Failure::new(Reason::NoTarget, "the backend has no target that takes requests"))?;
    if head.body == BodyLength::Chunked && target.protocol == Protocol::Http10 {
        let message = "the target speaks HTTP/1.0, which has no chunked bodies: send Content-Length";
        return Err(Failure::new(Reason::LengthRequired, message));
    }
    let uri = uri(&matched, &request)?;
    let side = request_side(connection, head)?;
    let outgoing = Outgoing {
        request: &request,
        target,
        timeouts: matched.backend.timeouts(&request),
        uri,
        override_host: matched.destination.override_host,
    };
    let _in_flight = target.state.enter();
    let attempt = outgoing.attempt(connection, side, started).await?;
    if attempt.response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return attempt.upgrade(connection, progress).await;
    }
    attempt.answer(connection, head, progress).await
}

fn read<'a, S>(
    connection: &Connection<S>,
    head: &'a Head,
    bytes: &'a Bytes,
    listener: &'a str,
) -> Result<Request<'a>, Failure> {
    let trusted = &connection.thread.settings.trusted_proxies;
    let forwarded_for =
        super::request::fields(head, bytes, "x-forwarded-for").map(|field| field.value.of(bytes));
    let client = if connection.peer.trusted {
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
        Decision::Held { route, reason } => {
            progress.place.route = Some(route);
            Err(Failure::new(Reason::RouteHeld, reason.to_owned()))
        }
        Decision::NotFound => Err(not_found()),
    }
}

/// Path and query for the target.
fn uri(matched: &Matched<'_>, request: &Request<'_>) -> Result<Uri, Failure> {
    if request.head.target.asterisk {
        return Ok(Uri::from_static("*"));
    }
    let mut written = Vec::with_capacity(request.bytes.len());
    let failed = |error: String| Failure::new(Reason::BadRewrite, error);
    matched.write_target(request, &mut written).map_err(|error| failed(error.to_string()))?;
    headers::uri(request, Cow::Owned(written)).map_err(|error| failed(error.to_string()))
}

/// The body of the request, with what of it came together with the head. A chunked body that is already wrong is found
/// here, before a target hears of the request.
fn request_side<S>(connection: &mut Connection<S>, head: &Head) -> Result<RequestSide, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut reader = BodyReader::new(head.body, &connection.thread.settings.limits);
    if reader.is_done() {
        return Ok(RequestSide::new(reader, None, false));
    }
    let bad = |error: crate::http1::chunked::ChunkError| Failure::new(error.reason(), error.to_string());
    if let BodyReader::Chunked(decoder) = &reader {
        decoder.check(connection.stream.unread()).map_err(bad)?;
    }
    let slot = Slot::new(match head.body {
        BodyLength::Length(length) => Some(length),
        _ => None,
    });
    match connection.stream.buffered_body(&mut reader).map_err(bad)? {
        Some(frame) => relay::put(&slot, &reader, frame),
        None if reader.is_done() => slot.end(),
        None => {}
    }
    Ok(RequestSide::new(reader, Some(slot), head.expect_continue))
}

/// A request that is ready to be sent.
struct Outgoing<'a> {
    request: &'a Request<'a>,
    target: &'a CompiledTarget,
    timeouts: &'a Timeouts,
    uri: Uri,
    override_host: bool,
}

/// A response that has begun.
struct Attempt<'a> {
    relay: Relay<'a>,
    key: PoolKey,
    response: Response<Incoming>,
    /// The client asked for another protocol and the target heard of it.
    upgrading: bool,
    is_head: bool,
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
        let upgrade = headers::upgrade(self.request).filter(|_| self.target.protocol != Protocol::Http10);
        loop {
            let Connection { thread, timer, .. } = &mut *connection;
            let (key, mut upstream) =
                reach(thread, timer, self.target, self.timeouts, &deadlines, freshness).await?;
            let request = self.build(connection, side.slot.clone(), upgrade.clone());
            let mut response = pin!(upstream.sender.send_request(request));
            let read_before = upstream.activity.read();
            let mut relay = Relay::new(upstream, side, self.timeouts, deadlines, started);
            let error = match poll_fn(|cx| relay.poll_head(connection, response.as_mut(), cx)).await {
                Ok(response) => {
                    return Ok(Attempt {
                        relay,
                        key,
                        response,
                        upgrading: upgrade.is_some(),
                        is_head: self.method() == Method::HEAD,
                    });
                }
                Err(NoResponse::Failure(failure)) => return Err(failure),
                Err(NoResponse::Upstream(error)) => error,
            };
            let Relay { upstream, request, .. } = relay;
            let untouched = request.slot.as_ref().is_none_or(|slot| !slot.is_touched());
            let lost = upstream.reused && upstream.activity.read() == read_before;
            if !(lost && untouched && (self.is_idempotent() || error.is_canceled())) {
                return Err(upstream_failure(&error));
            }
            connection.thread.counters.upstream_retries.add(1);
            deadlines = deadlines.again(self.timeouts, Instant::now());
            (freshness, side) = (Freshness::New, request);
        }
    }

    fn build<S>(
        &self,
        connection: &mut Connection<S>,
        slot: Option<std::rc::Rc<Slot>>,
        upgrade: Option<http::HeaderValue>,
    ) -> http::Request<RequestBody> {
        let listener = &connection.listening.listener;
        let headers = headers::build(
            self.request,
            Sources {
                peer: &connection.peer,
                forwarded: &mut connection.forwarded,
                port: &listener.port,
                host: (self.override_host || self.request.head.host.is_empty())
                    .then_some(&*self.target.host_header),
                upgrade,
            },
        );
        let mut request = http::Request::new(slot.map_or(RequestBody::Empty, RequestBody::Stream));
        *request.method_mut() = self.method();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        if self.target.protocol == Protocol::Http10 {
            *request.version_mut() = Version::HTTP_10;
        }
        request
    }

    fn method(&self) -> Method {
        // The parser let a token through, and that is all a method needs.
        Method::from_bytes(self.request.head.method.of(self.request.bytes)).unwrap_or_default()
    }

    fn is_idempotent(&self) -> bool {
        self.method().is_idempotent()
    }
}

fn upstream_failure(error: &hyper::Error) -> Failure {
    if error.is_parse() {
        Failure::new(Reason::UpstreamMalformed, format!("the target's response is malformed: {error}"))
    } else {
        Failure::new(Reason::UpstreamClosed, format!("the target gave no whole response: {error}"))
    }
}

impl Attempt<'_> {
    /// Sends the response to the client.
    async fn answer<S>(
        self,
        connection: &mut Connection<S>,
        head: &Head,
        progress: &mut Progress<'_>,
    ) -> Result<After, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Self { mut relay, key, response, is_head, .. } = self;
        let (parts, body) = response.into_parts();
        let framing = framing(&parts, &body, head, is_head)?;
        let keeps = head.keep_alive
            && framing != Framing::Close
            && relay.request.reader.is_done()
            && !connection.is_stopping();
        let persistence = if keeps { Persistence::KeepAlive } else { Persistence::Close };
        let stream = &mut connection.stream;
        let out = stream.output.buffer(&stream.buffers);
        response::head(out, parts.status, &parts.headers, framing, persistence, head.version);
        progress.status = Some(parts.status);
        drop(parts);
        let ended = framing == Framing::None || body.is_end_stream();
        if ended && framing == Framing::Chunked {
            out.extend_from_slice(response::LAST_CHUNK);
        }
        let mut response = ResponseSide { body, framing, ended };
        poll_fn(|cx| relay.poll_body(connection, &mut response, cx)).await?;
        drop(response);
        progress.consumed = relay.request.reader.is_done();
        relay.keep_upstream(connection, key).await;
        Ok(match (keeps, progress.consumed) {
            (true, _) => After::KeepAlive,
            (false, true) => After::Close,
            (false, false) => After::Linger,
        })
    }

    /// Hands the connection over to the protocol that both sides agreed on.
    async fn upgrade<S>(
        self,
        connection: &mut Connection<S>,
        progress: &mut Progress<'_>,
    ) -> Result<After, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if !self.upgrading {
            return Err(Failure::new(
                Reason::UpstreamMalformed,
                "the target switched protocols without being asked",
            ));
        }
        let status = self.response.status();
        progress.status = Some(status);
        connection.thread.counters.upgraded.add(1);
        let stream = &mut connection.stream;
        let out = stream.output.buffer(&stream.buffers);
        response::switching(out, self.response.headers());
        let idle = self.relay.idle_timeout();
        let parts = self.relay.upstream.into_parts();
        poll_fn(|cx| connection.stream.poll_flush(cx))
            .await
            .map_err(|_| Failure::new(Reason::ClientGone, ""))?;
        let buffers = connection.thread.buffers.clone();
        let (io, unread) = connection.stream.tunnel();
        let mut target = parts.io.into_inner();
        let early = (unread, parts.read_buf);
        let ended =
            Box::pin(tunnel::run(io, &mut target, early, idle, &mut connection.timer, &buffers)).await;
        connection.stream.received += ended.received;
        connection.stream.sent += ended.sent;
        if ended.idle {
            connection.thread.counters.reason(Reason::IdleTimeout);
        }
        Ok(After::Abort)
    }
}

/// How the response's end is shown to the client. A response whose own end is in doubt is refused, since a target that
/// frames badly can be made to answer a question that nobody asked (RFC 9112 section 6.3).
fn framing(
    parts: &http::response::Parts,
    body: &Incoming,
    head: &Head,
    is_head: bool,
) -> Result<Framing, Failure> {
    let malformed = |message: &'static str| Err(Failure::new(Reason::UpstreamMalformed, message));
    let mut codings = parts.headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return malformed("the target's Transfer-Encoding isn't exactly chunked");
        }
        if parts.headers.contains_key(header::CONTENT_LENGTH) {
            return malformed("the target sent Content-Length together with Transfer-Encoding");
        }
    }
    if is_head || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Framing::None);
    }
    Ok(match (body.size_hint().exact(), head.version) {
        (Some(length), _) => Framing::Length(length),
        (None, head::Version::Http11) => Framing::Chunked,
        (None, head::Version::Http10) => Framing::Close,
    })
}
