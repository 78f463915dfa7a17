//! Copies of requests for the mirrors of a route. A copy goes out in a task of its own once all of its request is here, at the
//! same time as the request itself or behind it; nobody waits for it, and nobody gets its answer.

mod copy;
mod nobody;

use std::cell::Cell;
use std::rc::Rc;

use dataplane_core::filter::Mirror;
use smallvec::SmallVec;

use self::copy::Original;
use super::headers;
use super::replay::Replay;
use super::request::Request;
use crate::connection::Connection;
use crate::grpc;
use crate::http1::piece::Piece;
use crate::stats::MirrorOutcome;
use crate::thread::{Pinned, Thread};

/// Copies that a thread has at a time, those included whose bodies are being read: with what is kept of a body, 16 MiB.
const MOST: u64 = 256;

/// Collects the body of a request for the mirrors that get a copy. One that is dropped counts why nothing was sent.
pub(super) struct Tee {
    original: Original,
    body: Replay,
    copies: Copies,
}

/// By the index of the mirror in its route.
type Copies = SmallVec<[(usize, Ticket); 2]>;

/// Counts a copy while it is there, and then what became of it.
struct Ticket {
    thread: Rc<Thread>,
    outcome: Cell<MirrorOutcome>,
}

/// Lets the mirrors whose share this request is have copies. Without a body they are on their way then; otherwise the body
/// has to come by.
pub(super) fn begin<S>(
    connection: &Connection<S>,
    pinned: &Rc<Pinned>,
    request: &Request<'_>,
    mirrors: &[Mirror],
) -> Option<Box<Tee>> {
    let thread = &connection.thread;
    let taken = mirrors.iter().enumerate().filter(|(_, mirror)| mirror.takes(thread.draw.next()));
    let tickets = taken.filter_map(|(index, _)| Some((index, Ticket::new(thread)?)));
    let copies: Copies = tickets.collect();
    if copies.is_empty() {
        return None;
    }
    let body = Replay::of(request.head.body);
    if let Some(outcome) = obstacle(request, &body) {
        copies.iter().for_each(|(_, ticket)| ticket.outcome.set(outcome));
        return None;
    }
    let original = Original::new(connection, pinned, request);
    let tee = Box::new(Tee { original, body, copies });
    if !request.head.body.is_empty() {
        return Some(tee);
    }
    tee.send();
    None
}

/// Why a request gets no copies.
fn obstacle(request: &Request<'_>, body: &Replay) -> Option<MirrorOutcome> {
    if headers::upgrade(request).is_some() {
        Some(MirrorOutcome::Upgrade)
    } else if grpc::is_call(request.values("content-type")) {
        Some(MirrorOutcome::Grpc)
    } else if !body.is_whole() {
        Some(MirrorOutcome::BodyTooLarge)
    } else {
        None
    }
}

impl Tee {
    /// `false`: the body is more than is kept.
    pub(super) fn keep(&mut self, piece: &Piece) -> bool {
        self.body.keep(piece);
        let is_whole = self.body.is_whole();
        if !is_whole {
            self.settle(MirrorOutcome::BodyTooLarge);
        }
        is_whole
    }

    /// Sends the copies, now that the body is whole.
    pub(super) fn send(self: Box<Self>) {
        self.settle(MirrorOutcome::Stopped);
        let Self { original, body, copies } = *self;
        let original = Rc::new(original);
        for (index, ticket) in copies {
            let (original, body) = (Rc::clone(&original), body.clone());
            tokio::task::spawn_local(async move {
                let outcome = original.send(&ticket.thread, index, body).await;
                ticket.outcome.set(outcome);
            });
        }
    }

    /// What becomes of the copies unless something else does.
    fn settle(&self, outcome: MirrorOutcome) {
        self.copies.iter().for_each(|(_, ticket)| ticket.outcome.set(outcome));
    }
}

impl Ticket {
    /// `None`, which is counted: there are as many as there may be.
    fn new(thread: &Rc<Thread>) -> Option<Self> {
        let counters = &thread.counters;
        if counters.mirrors_active.get() >= MOST {
            counters.mirror(MirrorOutcome::TooMany);
            return None;
        }
        counters.mirrors_active.add(1);
        Some(Self { thread: Rc::clone(thread), outcome: Cell::new(MirrorOutcome::BodyIncomplete) })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let counters = &self.thread.counters;
        counters.mirrors_active.sub(1);
        counters.mirror(self.outcome.get());
        if std::thread::panicking() {
            counters.panics.add(1);
        }
    }
}
