//! Answers of the proxy itself.

use std::borrow::Cow;

use dataplane_snapshot::Key;
use serde::Serialize;

use crate::Reason;
use crate::exchange::RequestId;
use crate::grpc;
use crate::http1::head::Version;
use crate::http1::response::{self, Framing, Persistence, ResponseEdits};
use crate::page;

/// Why an exchange has no answer of a target.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    /// A sentence for people; empty if the reason says all.
    pub(crate) message: Cow<'static, str>,
    /// Seconds until it is worth to come again.
    pub(crate) retry_after: Option<u64>,
}

impl Failure {
    pub(crate) fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, message: message.into(), retry_after: None }
    }
}

/// Which objects an answer is about.
#[derive(Clone, Copy, Default)]
pub(crate) struct Place<'r> {
    pub(crate) route: Option<&'r Key>,
    pub(crate) backend: Option<&'r Key>,
}

/// How an answer is framed.
#[derive(Clone, Copy)]
pub(crate) struct Form<'a> {
    pub(crate) version: Version,
    pub(crate) persistence: Persistence,
    /// The request was HEAD.
    pub(crate) bodiless: bool,
    /// A person reads it.
    pub(crate) html: bool,
    /// The request is a call of gRPC.
    pub(crate) grpc: bool,
    pub(crate) edits: Option<ResponseEdits<'a>>,
}

impl Form<'_> {
    pub(crate) const fn closing() -> Self {
        Self {
            version: Version::Http11,
            persistence: Persistence::Close,
            bodiless: false,
            html: false,
            grpc: false,
            edits: None,
        }
    }
}

/// The body of an error answer.
#[derive(Serialize)]
struct ErrorAnswer<'a> {
    error: &'a str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
}

/// Appends the whole answer.
pub(crate) fn write(
    out: &mut Vec<u8>,
    failure: &Failure,
    place: Place<'_>,
    id: Option<RequestId>,
    form: Form<'_>,
) {
    if form.grpc {
        grpc::failure(out, failure);
        if let Some(seconds) = failure.retry_after {
            response::number(out, b"retry-after", seconds);
        }
        return response::end_of_head(out, Framing::Length(0), form.persistence, form.version);
    }
    response::status_line(out, failure.reason.status());
    let body = if form.html {
        response::field(out, b"content-type", b"text/html; charset=utf-8");
        // A cache mustn't give it to a program.
        response::field(out, b"vary", b"Accept");
        page::error(failure, place, id).into_bytes()
    } else {
        response::field(out, b"content-type", b"application/json");
        json(failure, place)
    };
    if failure.reason == Reason::ConnectRefused {
        response::field(out, b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    }
    if let Some(seconds) = failure.retry_after {
        response::number(out, b"retry-after", seconds);
    }
    if let Some(edits) = form.edits {
        edits.write(out, |_| false);
    }
    response::end_of_head(out, Framing::Length(body.len() as u64), form.persistence, form.version);
    if !form.bodiless {
        out.extend_from_slice(&body);
    }
}

fn json(failure: &Failure, place: Place<'_>) -> Vec<u8> {
    let answer = ErrorAnswer {
        error: failure.reason.status().canonical_reason().unwrap_or("Error"),
        reason: failure.reason.as_str(),
        route: place.route.map(shown),
        backend: place.backend.map(shown),
        message: &failure.message,
    };
    // Strings only: this can't fail.
    let mut body = serde_json::to_vec(&answer).unwrap_or_default();
    body.push(b'\n');
    body
}

/// A key as people know it.
pub(crate) fn shown(key: &Key) -> String {
    format!("{}/{}", key.namespace(), key.name())
}
