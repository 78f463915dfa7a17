use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use dataplane_core::filter::Reply;
use dataplane_core::limit::{ActiveLimits, Calendar, Exceeded, Instant};
use dataplane_core::{Answered, CompiledRoute, Decision, Matched, Moment, RequestHead as _, Router};
use dataplane_snapshot::wire::Protocol;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Progress;
use super::local::{self, Local};
use super::mirror;
use super::outgoing::Outgoing;
use super::readiness;
use super::relay::RequestSide;
use super::replay::Replay;
use super::request::{Request, RequestId};
use crate::Reason;
use crate::answer::{Failure, Place};
use crate::connection::{After, Connection};
use crate::http1::fields;
use crate::http1::framing::BodyLength;
use crate::http1::head::Head;
use crate::http1::piece::{BodyReader, Coding};
use crate::listening::ListenerName;
use crate::thread::Pinned;

/// Routes a request, sends it to a target and its response to the client.
pub(super) async fn forward<'r, S>(
    connection: &mut Connection<S>,
    pinned: &'r Rc<Pinned>,
    head: &Head,
    bytes: &Bytes,
    started: tokio::time::Instant,
    progress: &mut Progress<'r>,
) -> Result<After, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let listening = connection.listening.clone();
    let request = read(connection, head, bytes, &listening.listener)?;
    progress.id = Some(request.id);
    if let Some(said) = readiness::answer(connection.thread.settings.readiness.as_ref(), request.path()) {
        return Ok(Box::pin(local::say(connection, &request, progress, said)).await);
    }
    let now = connection.thread.moment(started);
    let matched = match find(&pinned.router, &request, progress, now)? {
        Routed::Forward(matched) => matched,
        // On the heap: it is rare, and would be part of every connection's memory.
        Routed::Local(local) => return Box::pin(local.answer(connection, &request, progress)).await,
    };
    progress.place.backend = Some(&matched.backend.key);
    let outgoing = Outgoing {
        request: &request,
        matched: &matched,
        timeouts: matched.backend.timeouts(&request),
        started,
    };
    let mut side = request_side(connection, &request, &matched)?;
    if let Some(filters) = matched.filters.filter(|filters| !filters.mirrors.is_empty()) {
        side.tee(mirror::begin(connection, pinned, &request, &filters.mirrors));
    }
    let attempt = outgoing.send(connection, side).await?;
    if attempt.head.status != 101 {
        return attempt.answer(connection, &request, progress).await;
    }
    if !attempt.upgrade {
        let message = "the target switched protocols without being asked";
        return Err(Failure::new(Reason::UpstreamMalformed, message));
    }
    attempt.upgrade(connection, &request, progress).await
}

fn read<'a, S>(
    connection: &Connection<S>,
    head: &'a Head,
    bytes: &'a Bytes,
    listener: &'a ListenerName,
) -> Result<Request<'a>, Failure> {
    let trusted = &connection.thread.settings.trusted_proxies;
    let client = if connection.peer.trusted {
        let forwarded_for = fields::values(&head.fields, bytes, "x-forwarded-for");
        connection.peer.client_ip(forwarded_for, trusted)
    } else {
        connection.peer.ip
    };
    let id = RequestId { process: connection.thread.process, number: connection.thread.next_id() };
    Request::new(head, bytes, listener, client, connection.multiplexed, id)
        .map_err(|error| Failure::new(Reason::BadPath, error.to_string()))
}

/// Who answers a request.
enum Routed<'r> {
    Forward(Matched<'r>),
    Local(Local<'r>),
}

fn find<'r>(
    router: &'r Router,
    request: &Request<'_>,
    progress: &mut Progress<'r>,
    now: Moment,
) -> Result<Routed<'r>, Failure> {
    let not_found =
        || Failure::new(Reason::NoRoute, "no route matches this listener, host, path and request");
    let listener = router.listener_id(request.listener).ok_or_else(not_found)?;
    match router.route(listener, request) {
        Decision::Found(matched) => {
            progress.at(matched.route);
            let Some(filters) = matched.filters else { return Ok(Routed::Forward(matched)) };
            progress.filters = Some(filters);
            if let Some(reply) = local::reply(filters, request)? {
                return Ok(Routed::Local(Local { reply, pattern: matched.pattern }));
            }
            progress.admit(matched.limits, request, now)?;
            Ok(Routed::Forward(matched))
        }
        Decision::Answered(Answered { route, pattern, filters, limits, answer }) => {
            progress.at(route);
            progress.filters = Some(filters);
            let reply = local::reply(filters, request)?.unwrap_or(Reply::Answer(answer));
            // Browsers ask before they send a request, and don't understand a refusal.
            if !matches!(reply, Reply::Preflight(_)) {
                progress.admit(limits, request, now)?;
            }
            Ok(Routed::Local(Local { reply, pattern }))
        }
        Decision::Held { route, backend, reason } => {
            progress.at(route);
            progress.place.backend = backend;
            Err(Failure::new(Reason::RouteHeld, reason.to_owned()))
        }
        Decision::NotFound => Err(not_found()),
    }
}

impl<'r> Progress<'r> {
    /// The request is one of this route.
    fn at(&mut self, route: &'r CompiledRoute) {
        self.place = Place { route: Some(&route.key), backend: None };
        self.usage = Some(&route.usage);
    }

    /// Lets the request pass by the limits of its route, or refuses it.
    fn admit(
        &mut self,
        limits: Option<&ActiveLimits>,
        request: &Request<'_>,
        now: Moment,
    ) -> Result<(), Failure> {
        let Some(limits) = limits else { return Ok(()) };
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let admission = limits.admit(request, Instant { now, calendar: Calendar::at(since_1970) });
        let refused = admission.refused;
        self.admission = Some(Box::new(admission));
        let Some(Exceeded { is_quota, retry_after }) = refused else { return Ok(()) };
        let reason = if is_quota { Reason::QuotaExceeded } else { Reason::RateLimited };
        let message = "there were more requests than the route allows";
        Err(Failure { retry_after: Some(retry_after), ..Failure::new(reason, message) })
    }
}

/// The body of the request. A chunked body that is already wrong is found here, before a target hears of the request.
fn request_side<S>(
    connection: &Connection<S>,
    request: &Request<'_>,
    matched: &Matched<'_>,
) -> Result<RequestSide, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let head = request.head;
    let limit = matched.filters.and_then(|filters| filters.limits.body);
    let reader = BodyReader::new(head.body, &connection.thread.settings.limits).limited(limit);
    reader
        .check(connection.stream.unread())
        .map_err(|error| Failure::new(error.reason(), error.to_string()))?;
    let coding = if head.body == BodyLength::Chunked { Coding::Chunked } else { Coding::Plain };
    // A target of HTTP/2 may say that it did nothing with a request, which is then sent again whatever its method.
    let may_refuse = || matched.backend.targets().iter().any(|target| target.protocol == Protocol::Http2);
    let repeats = || {
        let retries = matched.backend.retries();
        retries.is_some_and(|retries| retries.rule.repeats(request.is_idempotent())) || may_refuse()
    };
    let replay = if !reader.is_done() && repeats() { Replay::of(head.body) } else { Replay::NONE };
    Ok(RequestSide::new(reader, coding, head.expect_continue, replay))
}
