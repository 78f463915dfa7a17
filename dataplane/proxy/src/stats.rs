use std::sync::atomic::{AtomicU64, Ordering};

use crate::Reason;

/// Upper bounds of the request duration buckets, in microseconds; the last bucket has none.
pub const DURATION_BUCKETS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000, 60_000_000,
];

/// How many reasons there are.
const REASONS: usize = Reason::ALL.len();

/// What became of a retry, or of the wish for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RetryOutcome {
    /// It brought an answer that was passed on.
    Answered,
    /// It failed, too.
    Failed,
    /// The backend's retry budget had nothing left.
    OverBudget,
    /// Its delay would have ended after the global timeout.
    TooLate,
}

impl RetryOutcome {
    pub const ALL: [Self; 4] = [Self::Answered, Self::Failed, Self::OverBudget, Self::TooLate];

    /// The word of metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::OverBudget => "over_budget",
            Self::TooLate => "too_late",
        }
    }
}

/// What became of a copy of a request for a mirror. All but the first two were not sent, or not waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MirrorOutcome {
    /// A whole answer came, whatever its status.
    Answered,
    /// No answer came, or it broke off.
    Failed,
    /// The request asks to switch protocols, as those of WebSockets do.
    Upgrade,
    /// The request is a call of gRPC.
    Grpc,
    /// The body is larger than is kept, or has trailers.
    BodyTooLarge,
    /// The request was over before all of its body had been read.
    BodyIncomplete,
    /// As many copies as there may be were on their way.
    TooMany,
    /// The mirror's backend isn't there or can't be served.
    NoBackend,
    /// The proxy stopped before the answer was there.
    Stopped,
}

impl MirrorOutcome {
    pub const ALL: [Self; 9] = [
        Self::Answered,
        Self::Failed,
        Self::Upgrade,
        Self::Grpc,
        Self::BodyTooLarge,
        Self::BodyIncomplete,
        Self::TooMany,
        Self::NoBackend,
        Self::Stopped,
    ];

    /// The word of metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Upgrade => "upgrade",
            Self::Grpc => "grpc",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyIncomplete => "body_incomplete",
            Self::TooMany => "too_many",
            Self::NoBackend => "no_backend",
            Self::Stopped => "stopped",
        }
    }
}

/// What became of looking up a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LookupOutcome {
    /// It has addresses.
    Found,
    /// It has none, said by a server that knows.
    Denied,
    /// Nobody who knows answered.
    Failed,
}

impl LookupOutcome {
    pub const ALL: [Self; 3] = [Self::Found, Self::Denied, Self::Failed];

    /// The word of metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

/// A counter with one writer. A plain load and store: no locked instruction on the request path.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).saturating_sub(n), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One for each [`Reason`].
pub(crate) struct ByReason([Counter; REASONS]);

impl Default for ByReason {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

/// The counters of one thread, written by that thread only. Aligned so that two threads never share a cache line.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    /// By the first digit of the status, index 0 for anything else.
    pub(crate) responses: [Counter; 6],
    pub(crate) reasons: ByReason,
    pub(crate) accepted: Counter,
    pub(crate) refused: Counter,
    pub(crate) accept_pauses: Counter,
    pub(crate) active: Counter,
    pub(crate) http2_connections: Counter,
    pub(crate) http2_streams: Counter,
    pub(crate) panics: Counter,
    pub(crate) upgraded: Counter,
    pub(crate) tls_handshakes: Counter,
    pub(crate) tls_resumptions: Counter,
    pub(crate) received_bytes: Counter,
    pub(crate) sent_bytes: Counter,
    pub(crate) upstream_connects: Counter,
    pub(crate) upstream_reuses: Counter,
    pub(crate) upstream_resends: Counter,
    pub(crate) upstream_idle: Counter,
    pub(crate) upstream_open: Counter,
    pub(crate) upstream_waiting: Counter,
    pub(crate) retries: [Counter; RetryOutcome::ALL.len()],
    pub(crate) mirrors: [Counter; MirrorOutcome::ALL.len()],
    pub(crate) mirrors_active: Counter,
    pub(crate) breaker_openings: Counter,
    /// These three are the control thread's.
    pub(crate) lookups: [Counter; LookupOutcome::ALL.len()],
    pub(crate) names: Counter,
    pub(crate) names_failing: Counter,
    pub(crate) durations: [Counter; DURATION_BUCKETS.len() + 1],
    pub(crate) duration_micros: Counter,
}

/// Sums over all threads since the start. Gauges say so; the rest only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Answers by the first digit of their status; index 0: none could be sent.
    pub responses: [u64; 6],
    /// How often each [`Reason`] occurred, in the order of [`Reason::ALL`].
    pub reasons: Vec<(Reason, u64)>,
    /// Client connections accepted.
    pub accepted: u64,
    /// Client connections closed at once because of the connection limit.
    pub refused: u64,
    /// How often accepting rested because the process had no free file descriptor or no memory.
    pub accept_pauses: u64,
    /// Gauge: client connections open now.
    pub active: u64,
    /// Client connections that turned out to be HTTP/2.
    pub http2_connections: u64,
    /// Gauge: requests open now on connections of HTTP/2.
    pub http2_streams: u64,
    /// Connections ended by a panic, which is a bug of ours.
    pub panics: u64,
    /// Exchanges that became a tunnel (WebSocket).
    pub upgraded: u64,
    /// TLS handshakes with clients that began from nothing.
    pub tls_handshakes: u64,
    /// TLS handshakes with clients that resumed an earlier session.
    pub tls_resumptions: u64,
    /// Body bytes received from clients.
    pub received_bytes: u64,
    /// Bytes sent to clients.
    pub sent_bytes: u64,
    pub upstream_connects: u64,
    pub upstream_reuses: u64,
    /// Requests sent once more, to the same target, because a reused connection had been closed.
    pub upstream_resends: u64,
    /// How often each [`RetryOutcome`] occurred, in the order of [`RetryOutcome::ALL`].
    pub retries: [u64; RetryOutcome::ALL.len()],
    /// How often each [`MirrorOutcome`] occurred, in the order of [`MirrorOutcome::ALL`].
    pub mirrors: [u64; MirrorOutcome::ALL.len()],
    /// Gauge: copies on their way to mirrors, or whose bodies are being read.
    pub mirrors_active: u64,
    /// How often a circuit breaker opened, after a failed trial, too.
    pub breaker_openings: u64,
    /// How often each [`LookupOutcome`] occurred, in the order of [`LookupOutcome::ALL`].
    pub lookups: [u64; LookupOutcome::ALL.len()],
    /// Gauge: names that are in use and kept fresh.
    pub names: u64,
    /// Gauge: those of them whose last look-up didn't bring all that it should.
    pub names_failing: u64,
    /// Gauge: idle upstream connections.
    pub upstream_idle: u64,
    /// Gauge: upstream connections that a request uses, or that are being opened, without tunnels.
    pub upstream_used: u64,
    /// Gauge: requests that wait for an upstream connection.
    pub upstream_waiting: u64,
    /// Exchanges per bucket of [`DURATION_BUCKETS`], not cumulative; the last is for longer ones.
    pub durations: [u64; DURATION_BUCKETS.len() + 1],
    /// Sum of all durations in microseconds, from the end of the request head to the end of the response.
    pub duration_micros: u64,
}

impl Counters {
    pub(crate) fn response(&self, status: u16) {
        let class = usize::from(status / 100);
        if let Some(counter) = self.responses.get(if class > 5 { 0 } else { class }) {
            counter.add(1);
        }
    }

    pub(crate) fn reason(&self, reason: Reason) {
        if let Some(counter) = self.reasons.0.get(reason.index()) {
            counter.add(1);
        }
    }

    pub(crate) fn retry(&self, outcome: RetryOutcome) {
        if let Some(counter) = self.retries.get(outcome as usize) {
            counter.add(1);
        }
    }

    pub(crate) fn mirror(&self, outcome: MirrorOutcome) {
        if let Some(counter) = self.mirrors.get(outcome as usize) {
            counter.add(1);
        }
    }

    pub(crate) fn lookup(&self, outcome: LookupOutcome) {
        if let Some(counter) = self.lookups.get(outcome as usize) {
            counter.add(1);
        }
    }

    pub(crate) fn duration(&self, micros: u64) {
        let bucket = DURATION_BUCKETS.partition_point(|bound| *bound < micros);
        if let Some(counter) = self.durations.get(bucket) {
            counter.add(1);
        }
        self.duration_micros.add(micros);
    }

    pub(crate) fn add_to(&self, sum: &mut Stats) {
        for (total, counter) in sum.responses.iter_mut().zip(&self.responses) {
            *total += counter.get();
        }
        for (total, counter) in sum.retries.iter_mut().zip(&self.retries) {
            *total += counter.get();
        }
        for (total, counter) in sum.mirrors.iter_mut().zip(&self.mirrors) {
            *total += counter.get();
        }
        for (total, counter) in sum.lookups.iter_mut().zip(&self.lookups) {
            *total += counter.get();
        }
        for ((_, total), counter) in sum.reasons.iter_mut().zip(&self.reasons.0) {
            *total += counter.get();
        }
        for (total, counter) in sum.durations.iter_mut().zip(&self.durations) {
            *total += counter.get();
        }
        let pairs = [
            (&mut sum.accepted, &self.accepted),
            (&mut sum.refused, &self.refused),
            (&mut sum.accept_pauses, &self.accept_pauses),
            (&mut sum.active, &self.active),
            (&mut sum.http2_connections, &self.http2_connections),
            (&mut sum.http2_streams, &self.http2_streams),
            (&mut sum.panics, &self.panics),
            (&mut sum.upgraded, &self.upgraded),
            (&mut sum.tls_handshakes, &self.tls_handshakes),
            (&mut sum.tls_resumptions, &self.tls_resumptions),
            (&mut sum.received_bytes, &self.received_bytes),
            (&mut sum.sent_bytes, &self.sent_bytes),
            (&mut sum.upstream_connects, &self.upstream_connects),
            (&mut sum.upstream_reuses, &self.upstream_reuses),
            (&mut sum.upstream_resends, &self.upstream_resends),
            (&mut sum.mirrors_active, &self.mirrors_active),
            (&mut sum.breaker_openings, &self.breaker_openings),
            (&mut sum.names, &self.names),
            (&mut sum.names_failing, &self.names_failing),
            (&mut sum.upstream_idle, &self.upstream_idle),
            (&mut sum.upstream_waiting, &self.upstream_waiting),
            (&mut sum.duration_micros, &self.duration_micros),
        ];
        for (total, counter) in pairs {
            *total += counter.get();
        }
        sum.upstream_used += self.upstream_open.get().saturating_sub(self.upstream_idle.get());
    }
}

impl Stats {
    pub(crate) fn sum<'a>(threads: impl Iterator<Item = &'a Counters>) -> Self {
        let mut sum =
            Self { reasons: Reason::ALL.iter().map(|reason| (*reason, 0)).collect(), ..Self::default() };
        threads.for_each(|counters| counters.add_to(&mut sum));
        sum
    }

    /// How often `outcome` occurred.
    pub fn retry(&self, outcome: RetryOutcome) -> u64 {
        self.retries.get(outcome as usize).copied().unwrap_or_default()
    }

    /// How often `outcome` occurred.
    pub fn mirror(&self, outcome: MirrorOutcome) -> u64 {
        self.mirrors.get(outcome as usize).copied().unwrap_or_default()
    }

    /// How often looking up a name came to `outcome`.
    pub fn lookup(&self, outcome: LookupOutcome) -> u64 {
        self.lookups.get(outcome as usize).copied().unwrap_or_default()
    }

    /// How often `reason` occurred.
    pub fn reason(&self, reason: Reason) -> u64 {
        self.reasons.iter().find(|(other, _)| *other == reason).map_or(0, |(_, count)| *count)
    }
}
