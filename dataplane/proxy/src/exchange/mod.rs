//! One request and its answer.

mod attempt;
mod deadlines;
mod forward;
pub(crate) mod forwarded;
mod headers;
mod local;
mod mirror;
mod outgoing;
mod reach;
mod readiness;
mod relay;
mod replay;
mod reply;
mod request;
mod retries;
mod tunnel;

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use dataplane_core::Filters;
use dataplane_core::limit::{Admission, RouteUsage, Spent};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

pub(crate) use self::request::RequestId;

use crate::Reason;
use crate::answer::{self, Failure, Form, Place};
use crate::connection::{After, Connection};
use crate::grpc;
use crate::http1::fields;
use crate::http1::head::Head;
use crate::http1::response::{Persistence, ResponseEdits};
use crate::page;

/// What an exchange knows about itself when it ends.
#[derive(Default)]
struct Progress<'r> {
    place: Place<'r>,
    /// The route's, if it has any.
    filters: Option<&'r Filters>,
    /// What its route has used.
    usage: Option<&'r RouteUsage>,
    /// What the route's limits said. On the heap, as most routes have none.
    admission: Option<Box<Admission>>,
    id: Option<RequestId>,
    /// The status whose head was written.
    status: Option<u16>,
    /// Nothing of the request is left to read.
    consumed: bool,
}

impl Progress<'_> {
    /// What the route's filters change in the response.
    fn edits<'a>(&self, head: &'a Head, bytes: &'a Bytes) -> Option<ResponseEdits<'a>>
    where
        Self: 'a,
    {
        self.filters.map(|filters| local::edits(filters, self.admission.as_deref(), head, bytes))
    }

    /// Counts for the route and its consumers what the request has used.
    fn spend(&self, spent: &Spent) {
        let Some(usage) = self.usage else { return };
        usage.whole.spend(spent);
        if let Some(admission) = &self.admission {
            admission.spend(spent);
        }
    }
}

/// Serves one request, whatever becomes of it.
pub(crate) async fn run<S>(connection: &mut Connection<S>, head: &Head, bytes: Bytes) -> After
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // A head is a part of the buffer that it was read into, which would be held as long as a tunnel lasts.
    let bytes = if head.upgrade { Bytes::copy_from_slice(&bytes) } else { bytes };
    let started = Instant::now();
    connection.now = started;
    let pinned = connection.thread.router();
    let (received, sent) = connection.stream.position();
    let mut progress = Progress { consumed: head.body.is_empty(), ..Progress::default() };
    let outcome = match &pinned {
        Some(pinned) => forward::forward(connection, pinned, head, &bytes, started, &mut progress).await,
        None => Err(Failure::new(Reason::NotReady, "no configuration has been loaded yet")),
    };
    let after = match outcome {
        Ok(after) => after,
        Err(failure) => {
            let after = fail(connection, head, &bytes, &failure, &mut progress).await;
            connection.now = Instant::now();
            after
        }
    };
    let counters = &connection.thread.counters;
    counters.response(progress.status.unwrap_or(0));
    let took = connection.now.duration_since(started);
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    counters.duration(micros);
    let (received_by_now, sent_by_now) = connection.stream.position();
    progress.spend(&Spent {
        // The head was taken before.
        received: received_by_now.wrapping_sub(received) + head.len as u64,
        sent: sent_by_now.saturating_sub(sent),
        micros,
        status: progress.status.unwrap_or(0),
        verdict: progress.admission.as_ref().map(|admission| admission.verdict()),
        lane: usize::from(connection.thread.index),
    });
    after
}

/// Answers a failure if no answer has begun.
async fn fail<S>(
    connection: &mut Connection<S>,
    head: &Head,
    bytes: &Bytes,
    failure: &Failure,
    progress: &mut Progress<'_>,
) -> After
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    connection.thread.counters.reason(failure.reason);
    if progress.status.is_some() || !failure.reason.is_answered() {
        // What the target said before it broke off is the client's, as far as it goes out at once.
        let _ = poll_fn(|cx| Poll::Ready(connection.stream.poll_flush(cx).is_ready())).await;
        return After::Abort;
    }
    let status = failure.reason.status();
    // A request that is itself wrong says that its sender can't be trusted to frame the next one.
    let sound = matches!(
        failure.reason,
        Reason::NoRoute
            | Reason::AddressDenied
            | Reason::BodyTooLarge
            | Reason::RateLimited
            | Reason::QuotaExceeded
    );
    let trusted = status.is_server_error() || sound;
    let persistence = persistence(connection, head, trusted && progress.consumed);
    let grpc = grpc::is_call(fields::values(&head.fields, bytes, "content-type"));
    let form = Form {
        version: head.version,
        persistence,
        bodiless: head.method.of(bytes) == b"HEAD",
        grpc,
        html: page::is_wanted(fields::values(&head.fields, bytes, "accept")),
        edits: progress.edits(head, bytes).map(ResponseEdits::of_failure),
    };
    progress.status = Some(if grpc { 200 } else { status.as_u16() });
    let stream = &mut connection.stream;
    answer::write(stream.output.buffer(&stream.buffers), failure, progress.place, progress.id, form);
    finish(connection, persistence).await
}

/// Whether the connection takes a next request after this one. `framed`: where this one ends, and its answer, is certain.
fn persistence<S>(connection: &Connection<S>, head: &Head, framed: bool) -> Persistence
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if framed && head.keep_alive && !connection.is_stopping() {
        Persistence::KeepAlive
    } else {
        Persistence::Close
    }
}

/// Ends an exchange whose answer is written.
async fn finish<S>(connection: &mut Connection<S>, persistence: Persistence) -> After
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if persistence == Persistence::Close {
        return After::Linger;
    }
    let deadline = Instant::now() + connection.thread.settings.timeouts.body_progress;
    poll_fn(|cx| match connection.stream.poll_flush(cx) {
        Poll::Ready(Ok(())) => Poll::Ready(After::KeepAlive),
        Poll::Ready(Err(_)) => Poll::Ready(After::Abort),
        Poll::Pending => connection.timer.poll(deadline, cx).map(|()| After::Abort),
    })
    .await
}
