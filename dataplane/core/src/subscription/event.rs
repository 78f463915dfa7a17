use std::time::Duration;

use dataplane_snapshot::{AsOf, Key, Root, Snapshot};

/// When an event is handled, and a random number for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Since any fixed moment; never goes back.
    pub now: Duration,
    /// Uniform in [0, 1). Keeps workers from doing the same thing at the same time.
    pub random: f64,
}

/// Numbers the polls and acknowledgements of one process, so that a late or repeated answer is told from the awaited one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt(pub u64);

#[derive(Clone, Debug)]
pub enum Event {
    /// The process started and read its state file.
    Started {
        disk: Option<Snapshot>,
    },
    Answer {
        attempt: Attempt,
        answer: Answer,
    },
    /// [`Action::Apply`] is done: this root is in service, without the objects in `rejected`.
    Applied {
        root: Root,
        rejected: Vec<(Key, String)>,
    },
    /// [`Action::Apply`] failed as a whole; what was in service before still is.
    ApplyFailed {
        root: Root,
        reason: String,
    },
    AckDelivered {
        attempt: Attempt,
    },
    AckFailed {
        attempt: Attempt,
    },
    Persisted {
        root: Root,
    },
    PersistFailed {
        root: Root,
        reason: String,
    },
    /// The time of the last [`Action::SetTimer`] has come. An extra one does no harm.
    Timer,
}

/// How a poll ended. Each poll ends: whoever does the I/O limits its time.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Decoded and checked: the objects have the promised root.
    State(Snapshot),
    /// The leader's root is the one that the poll named.
    NotModified,
    Failed(Failure),
}

/// Why a poll gave no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No connection, half an answer, or an answer that isn't the protocol's.
    #[error("{0}")]
    Unreachable(String),
    /// No beginning of an answer in time. In [`Self::reason`] the same as the one before.
    #[error("{0}")]
    Late(String),
    /// There is no trust between the two sides, or what the leader speaks isn't TLS.
    #[error("{0}")]
    Tls(String),
    #[error("it doesn't accept the client id and secret")]
    Unauthorized,
    #[error("it only answers workers that show a client certificate")]
    Forbidden,
    /// The leader has nothing to give yet or serves too many at once.
    #[error("it is busy and asks to come back in {} ms", retry_after.as_millis())]
    Busy { retry_after: Duration },
    /// The state isn't what its root promises. `root` is the one in the answer's head, if it had one.
    #[error("its state is damaged: {reason}")]
    Damaged { root: Option<Root>, reason: String },
    /// Another version of the format, or too large: asking this leader again for the same root can't help.
    #[error("its state can't be used: {reason}")]
    Incompatible { root: Option<Root>, reason: String },
}

impl Failure {
    /// Each word of [`Self::reason`].
    pub const REASONS: [&str; 7] =
        ["unreachable", "tls", "unauthorized", "forbidden", "busy", "damaged", "incompatible"];

    /// For metrics: one word of a closed list.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) | Self::Late(_) => "unreachable",
            Self::Tls(_) => "tls",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Busy { .. } => "busy",
            Self::Damaged { .. } => "damaged",
            Self::Incompatible { .. } => "incompatible",
        }
    }
}

#[derive(Clone, Debug)]
pub enum Action {
    /// Ask leader number `leader`; it may hold the answer for `hold` while its root is `known`.
    Poll { attempt: Attempt, leader: usize, known: Option<Root>, hold: Duration },
    /// Compile this and put it in service; one at a time.
    Apply(Snapshot),
    /// Write what is in service to disk; one at a time.
    Persist { root: Root, as_of: AsOf },
    /// Tell leader number `leader` what is in service; one at a time. `refused` is a state that was refused as a whole.
    Ack {
        attempt: Attempt,
        leader: usize,
        root: Root,
        as_of: AsOf,
        rejected: Vec<(Key, String)>,
        refused: Option<(Root, String)>,
    },
    /// Send [`Event::Timer`] at this time; replaces the one before.
    SetTimer(Duration),
}
