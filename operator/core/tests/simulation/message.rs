//! What travels between workers and leaders, and what happens when.

use std::time::Duration;

use bytes::Bytes;
use dataplane_core::subscription::{self, Attempt};
use dataplane_snapshot::{Root, Snapshot};
use operator_core::programmed::Applied;
use operator_core::session::{Identity, PollId};

/// A leader by its index, as a worker's subscription names it.
pub(crate) type LeaderIndex = usize;

pub(crate) type WorkerIndex = usize;

/// Which life of a process: what was meant for an earlier one is void.
pub(crate) type Life = u32;

/// One exchange, and who waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) worker: WorkerIndex,
    pub(crate) life: Life,
    pub(crate) number: u64,
}

/// A request for the state.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) exchange: Exchange,
    pub(crate) member: Identity,
    pub(crate) known: Option<Root>,
    pub(crate) hold: Duration,
    pub(crate) base: Option<Root>,
    pub(crate) manifest: Option<Bytes>,
}

/// The answer to one.
#[derive(Clone, Debug)]
pub(crate) enum Response {
    State {
        root: Root,
        bytes: Bytes,
    },
    NotModified,
    UnknownBase,
    Busy,
    /// There is nobody, or the connection is gone.
    Broken,
}

/// An acknowledgement.
#[derive(Clone, Debug)]
pub(crate) struct Ack {
    pub(crate) worker: WorkerIndex,
    pub(crate) life: Life,
    pub(crate) attempt: Attempt,
    pub(crate) leader: LeaderIndex,
    pub(crate) member: Identity,
    pub(crate) applied: Applied,
    pub(crate) refused: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) enum Event {
    Edit,
    Restore,
    /// A leader sees more of the truth.
    See(LeaderIndex),
    /// What was planned reaches the part of a leader that answers workers.
    Publish(LeaderIndex, Life, Box<Snapshot>),
    LeaderTimer(LeaderIndex, Life),
    Request(LeaderIndex, Box<Request>),
    /// A leader notices that nobody waits any more.
    Hangup(LeaderIndex, Life, PollId),
    Ack(Box<Ack>),
    Leave(LeaderIndex, String),
    Response(Exchange, Response),
    TimedOut(Exchange),
    AckEnded(WorkerIndex, Life, Attempt, bool),
    WorkerTimer(WorkerIndex, Life),
    /// A state is compiled.
    Compiled(WorkerIndex, Life, Box<Snapshot>),
    /// The disk is done with a write.
    Written(WorkerIndex, Life),
    Tell(WorkerIndex, Life, Box<subscription::Event>),
    StopLeader(LeaderIndex),
    StartLeader(LeaderIndex),
    StopWorker(WorkerIndex),
    StartWorker(WorkerIndex),
    /// A process is stopped for a while, and knows it only by its clock.
    Pause(WorkerIndex),
    LeaderClock(LeaderIndex),
}
