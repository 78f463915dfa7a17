//! Answers by a route's filters, without a target.

use bytes::Bytes;
use dataplane_core::filter::{Answer, DirectAnswer, Redirect, Refused, Reply, RequestSize};
use dataplane_core::limit::Admission;
use dataplane_core::{Filters, PathPattern, RequestHead as _};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::request::Request;
use super::{Progress, finish, persistence};
use crate::Reason;
use crate::answer::Failure;
use crate::connection::{After, Connection};
use crate::http1::fields;
use crate::http1::framing::BodyLength;
use crate::http1::head::Head;
use crate::http1::response::{self, Framing, Persistence, ResponseEdits};

/// An answer that is made here.
pub(super) struct Local<'r> {
    pub(super) reply: Reply<'r>,
    /// What the request met, for redirects.
    pub(super) pattern: &'r PathPattern,
}

/// What the filters answer themselves, and what they refuse; `None`: the request goes on.
pub(super) fn reply<'r>(filters: &'r Filters, request: &Request<'_>) -> Result<Option<Reply<'r>>, Failure> {
    let head = request.head;
    let body = if let BodyLength::Length(length) = head.body { length } else { 0 };
    let size = RequestSize { head: head.len, fields: head.fields.len(), body };
    filters.reply(request, size).map_err(|refused| {
        let reason = match refused {
            Refused::Address => Reason::AddressDenied,
            Refused::Head => Reason::HeadTooLarge,
            Refused::Body => Reason::BodyTooLarge,
        };
        Failure::new(reason, refused.to_string())
    })
}

/// What `filters` change in the response to a request.
pub(super) fn edits<'a>(
    filters: &'a Filters,
    admission: Option<&Admission>,
    head: &'a Head,
    bytes: &'a Bytes,
) -> ResponseEdits<'a> {
    let cors = filters.cors.as_ref();
    let origin = cors.and_then(|_| fields::values(&head.fields, bytes, "origin").next());
    let limit = admission.map(|admission| admission.state);
    ResponseEdits { headers: filters.response_headers.as_ref(), cors, origin, limit }
}

impl Local<'_> {
    pub(super) async fn answer<S>(
        self,
        connection: &mut Connection<S>,
        request: &Request<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<After, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let head = request.head;
        let persistence = persistence(connection, head, progress.consumed);
        let edits = progress.edits(head, request.bytes);
        let mut out = connection.thread.buffers.take_output();
        let (status, body) = self.write(&mut out, request, edits)?;
        progress.status = Some(status);
        Ok(send(connection, request, out, (status, body), persistence).await)
    }

    /// Appends status line and fields. The body comes after what frames it.
    fn write(
        &self,
        out: &mut Vec<u8>,
        request: &Request<'_>,
        edits: Option<ResponseEdits<'_>>,
    ) -> Result<(u16, &[u8]), Failure> {
        let (status, body): (u16, &[u8]) = match self.reply {
            Reply::Preflight(cors) => {
                status_line(out, 204);
                cors.write_preflight(edits.and_then(|edits| edits.origin), out);
                return Ok((204, b""));
            }
            Reply::Answer(Answer::Redirect(redirect)) => {
                self.redirect(redirect, out, request)?;
                (redirect.status, b"")
            }
            Reply::Answer(Answer::Direct(answer)) => {
                direct(answer, out);
                (answer.status, &answer.body)
            }
        };
        if let Some(edits) = edits {
            let typed = !body.is_empty();
            edits.write(out, |name| name == "location" || typed && name == "content-type");
        }
        Ok((status, body))
    }

    fn redirect(&self, redirect: &Redirect, out: &mut Vec<u8>, request: &Request<'_>) -> Result<(), Failure> {
        let mut location = Vec::new();
        redirect
            .write(request, self.pattern, &mut location)
            .map_err(|error| Failure::new(Reason::BadHost, error.to_string()))?;
        status_line(out, redirect.status);
        response::field(out, b"location", &location);
        Ok(())
    }
}

/// Answers in JSON with a status and a body of the proxy's own.
pub(super) async fn say<S>(
    connection: &mut Connection<S>,
    request: &Request<'_>,
    progress: &mut Progress<'_>,
    (status, body): (u16, &[u8]),
) -> After
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let persistence = persistence(connection, request.head, progress.consumed);
    let mut out = connection.thread.buffers.take_output();
    status_line(&mut out, status);
    response::field(&mut out, b"content-type", b"application/json");
    // What is so now need not be so for whoever asks next.
    response::field(&mut out, b"cache-control", b"no-store");
    progress.status = Some(status);
    send(connection, request, out, (status, body), persistence).await
}

/// Ends a head that begins with `out`, and sends it with its body.
async fn send<S>(
    connection: &mut Connection<S>,
    request: &Request<'_>,
    mut out: Vec<u8>,
    (status, body): (u16, &[u8]),
    persistence: Persistence,
) -> After
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let framing =
        if matches!(status, 204 | 304) { Framing::None } else { Framing::Length(body.len() as u64) };
    response::end_of_head(&mut out, framing, persistence, request.head.version);
    if request.method() != "HEAD" {
        out.extend_from_slice(body);
    }
    let stream = &mut connection.stream;
    stream.output.buffer(&stream.buffers).extend_from_slice(&out);
    connection.thread.buffers.give_output(out);
    let after = finish(connection, persistence).await;
    connection.now = Instant::now();
    after
}

fn direct(answer: &DirectAnswer, out: &mut Vec<u8>) {
    status_line(out, answer.status);
    if let Some(content_type) = &answer.content_type {
        response::field(out, b"content-type", content_type.as_bytes());
    }
}

fn status_line(out: &mut Vec<u8>, status: u16) {
    response::status_line(out, StatusCode::from_u16(status).unwrap_or(StatusCode::OK));
}
