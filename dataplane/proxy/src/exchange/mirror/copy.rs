use std::net::IpAddr;
use std::rc::Rc;

use bytes::Bytes;
use dataplane_core::Matched;
use tokio::time::Instant;

use super::nobody::Nobody;
use crate::Reason;
use crate::answer::Failure;
use crate::connection::Connection;
use crate::exchange::Progress;
use crate::exchange::outgoing::Outgoing;
use crate::exchange::relay::RequestSide;
use crate::exchange::replay::Replay;
use crate::exchange::reply::is_endless;
use crate::exchange::request::{Request, RequestId};
use crate::http1::framing::BodyLength;
use crate::http1::head::Head;
use crate::http1::piece::{BodyReader, Coding};
use crate::listening::Listening;
use crate::peer::Peer;
use crate::stats::MirrorOutcome;
use crate::thread::{Pinned, Thread};

/// A request without its body, for as long as copies of it need it: its own exchange may be over.
pub(super) struct Original {
    pinned: Rc<Pinned>,
    listening: Rc<Listening>,
    peer: Rc<Peer>,
    head: Head,
    bytes: Bytes,
    client_ip: IpAddr,
    multiplexed: bool,
    id: RequestId,
}

impl Original {
    pub(super) fn new<S>(connection: &Connection<S>, pinned: &Rc<Pinned>, request: &Request<'_>) -> Self {
        Self {
            pinned: Rc::clone(pinned),
            listening: Rc::clone(&connection.listening),
            peer: Rc::clone(&connection.peer),
            head: request.head.clone(),
            // A head is a part of the buffer that it was read into.
            bytes: Bytes::copy_from_slice(request.bytes),
            client_ip: request.client_ip,
            multiplexed: request.multiplexed,
            id: request.id,
        }
    }

    /// Sends a copy to the mirror at `index` and reads its answer.
    pub(super) async fn send(&self, thread: &Rc<Thread>, index: usize, body: Replay) -> MirrorOutcome {
        let (router, listener) = (&self.pinned.router, &*self.listening.listener);
        let request =
            Request::new(&self.head, &self.bytes, listener, self.client_ip, self.multiplexed, self.id);
        let Ok(request) = request else { return MirrorOutcome::Failed };
        let matched =
            router.listener_id(&listener.name).and_then(|listener| router.mirror(listener, &request, index));
        let Some(matched) = matched else { return MirrorOutcome::NoBackend };
        match self.exchange(thread, &request, &matched, body).await {
            Ok(()) => MirrorOutcome::Answered,
            Err(failure) => {
                let (backend, reason) = (&matched.backend.key, failure.reason.as_str());
                tracing::debug!(%backend, reason, message = &*failure.message, "a mirror gave no answer");
                MirrorOutcome::Failed
            }
        }
    }

    /// As with a client that has sent all of its request, stays, and takes whatever it gets.
    async fn exchange(
        &self,
        thread: &Rc<Thread>,
        request: &Request<'_>,
        matched: &Matched<'_>,
        body: Replay,
    ) -> Result<(), Failure> {
        let (peer, listening) = (Rc::clone(&self.peer), Rc::clone(&self.listening));
        let mut connection = Connection::new(Nobody, peer, Rc::clone(thread), listening, Rc::default());
        let timeouts = matched.backend.timeouts(request);
        let outgoing = Outgoing { request, matched, timeouts, started: Instant::now() };
        let attempt = outgoing.send_once(&mut connection, self.side(body)).await?;
        if attempt.head.status == 101 {
            return Err(Failure::new(Reason::UpstreamMalformed, "it switched protocols without being asked"));
        }
        // Nobody waits for the end of a stream that has none in sight.
        if !is_endless(&attempt.head, &attempt.bytes) {
            attempt.answer(&mut connection, request, &mut Progress::default()).await?;
        }
        Ok(())
    }

    fn side(&self, body: Replay) -> RequestSide {
        match self.head.body {
            BodyLength::Chunked => RequestSide::whole(body, Coding::Chunked),
            length if length.is_empty() => {
                RequestSide::new(BodyReader::Done, Coding::Plain, false, Replay::NONE)
            }
            _ => RequestSide::whole(body, Coding::Plain),
        }
    }
}
