//! The request as it goes to a target.

use dataplane_core::{CompiledTarget, Matched, Timeouts};
use dataplane_snapshot::wire::Protocol;
use tokio::time::Instant;

use super::headers::{self, Sources};
use super::request::Request;
use crate::Reason;
use crate::answer::Failure;
use crate::connection::Connection;
use crate::http1::characters;
use crate::http1::framing::BodyLength;

/// A request that is to be sent.
pub(super) struct Outgoing<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) matched: &'a Matched<'a>,
    pub(super) timeouts: &'a Timeouts,
    /// When the exchange began.
    pub(super) started: Instant,
}

impl<'a> Outgoing<'a> {
    /// The head for `target`.
    pub(super) fn write<S>(
        &self,
        connection: &mut Connection<S>,
        target: &CompiledTarget,
    ) -> Result<Vec<u8>, Failure> {
        let head = self.request.head;
        if head.body == BodyLength::Chunked && target.protocol == Protocol::Http10 {
            let message = "the target speaks HTTP/1.0, which has no chunked bodies: send Content-Length";
            return Err(Failure::new(Reason::LengthRequired, message));
        }
        let Connection { thread, peer, listening, forwarded, .. } = connection;
        let scheme = if self.request.secured { "https" } else { "http" };
        forwarded.follow(&peer.text, &listening.listener.port, scheme, head.host.of(self.request.bytes));
        let mut out = thread.buffers.take_output();
        out.extend_from_slice(head.method.of(self.request.bytes));
        out.push(b' ');
        self.write_target(&mut out)?;
        let sources = Sources {
            trusted: peer.trusted,
            peer: &peer.text,
            port: &listening.listener.port,
            scheme,
            certificate: peer.certificate.as_deref(),
            forwarded,
            host: self.matched.host(target, !head.host.is_empty()),
            upgrade: self.upgrade(target),
            edits: self.matched.filters.and_then(|filters| filters.request_headers.as_ref()),
        };
        headers::write(&mut out, self.request, target.protocol, sources);
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

    /// The protocol that `target` is asked to go on in.
    pub(super) fn upgrade(&self, target: &CompiledTarget) -> Option<&'a [u8]> {
        headers::upgrade(self.request).filter(|_| target.protocol != Protocol::Http10)
    }
}
