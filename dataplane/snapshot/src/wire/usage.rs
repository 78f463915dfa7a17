use super::Member;

/// The most totals in one push; more come in the next one.
pub const MAX_PUSHED_TOTALS: usize = 10_000;

/// The longest accepted push, in bytes.
pub const MAX_PUSH_BYTES: usize = 16 * 1024 * 1024;

/// The consumer under which is counted whoever there is no room for among those of a route.
pub const OTHER_CONSUMERS: &str = "other";

/// What a worker has counted since it started, per window. It can come twice, late or by way of any leader: of two totals of
/// one worker for the same the one with more requests counts.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UsagePush {
    /// Who counted, if it isn't who sends this. Its id is that of one process, and never counts from 0 again.
    #[prost(message, optional, tag = "1")]
    pub member: Option<Member>,
    /// Those that have changed since a push that was taken; all of the windows that aren't over after one that wasn't.
    #[prost(message, repeated, tag = "2")]
    pub totals: Vec<UsageTotal>,
    /// Routes of whose consumers it wants to know what all workers have counted.
    #[prost(string, repeated, tag = "3")]
    pub limited: Vec<String>,
    /// The windows that are not over, by the worker's clock: a day and a month.
    #[prost(string, repeated, tag = "4")]
    pub windows: Vec<String>,
}

/// One consumer's use of one route in one window.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UsageTotal {
    /// A day as in `2026-11-30`, or a month as in `2026-11`, of UTC.
    #[prost(string, tag = "1")]
    pub window: String,
    /// The route's key.
    #[prost(string, tag = "2")]
    pub route: String,
    /// Empty: all of the route's.
    #[prost(string, tag = "3")]
    pub consumer: String,
    #[prost(message, optional, tag = "4")]
    pub counts: Option<UsageCounts>,
}

/// All of it only grows.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct UsageCounts {
    /// That weren't refused by the limits of the route, whatever became of them.
    #[prost(uint64, tag = "1")]
    pub requests: u64,
    /// That the limits of the route refused.
    #[prost(uint64, tag = "2")]
    pub refused: u64,
    /// Bytes from clients, heads included.
    #[prost(uint64, tag = "3")]
    pub received: u64,
    /// Bytes to clients, heads included.
    #[prost(uint64, tag = "4")]
    pub sent: u64,
    /// The sum of how long they took, in microseconds.
    #[prost(uint64, tag = "5")]
    pub micros: u64,
    /// Of `requests`, by the hundreds of the status.
    #[prost(uint64, tag = "6")]
    pub status_1xx: u64,
    #[prost(uint64, tag = "7")]
    pub status_2xx: u64,
    #[prost(uint64, tag = "8")]
    pub status_3xx: u64,
    #[prost(uint64, tag = "9")]
    pub status_4xx: u64,
    #[prost(uint64, tag = "10")]
    pub status_5xx: u64,
    /// Of `requests`, those that the limits of the route let pass: there were some, and it came to them.
    #[prost(uint64, tag = "11")]
    pub admitted: u64,
}

impl UsageCounts {
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// What is more in this one.
    #[must_use]
    pub fn less(&self, earlier: &Self) -> Self {
        self.with(earlier, u64::saturating_sub)
    }

    fn with(&self, other: &Self, of: fn(u64, u64) -> u64) -> Self {
        Self {
            requests: of(self.requests, other.requests),
            refused: of(self.refused, other.refused),
            received: of(self.received, other.received),
            sent: of(self.sent, other.sent),
            micros: of(self.micros, other.micros),
            status_1xx: of(self.status_1xx, other.status_1xx),
            status_2xx: of(self.status_2xx, other.status_2xx),
            status_3xx: of(self.status_3xx, other.status_3xx),
            status_4xx: of(self.status_4xx, other.status_4xx),
            status_5xx: of(self.status_5xx, other.status_5xx),
            admitted: of(self.admitted, other.admitted),
        }
    }
}

/// What all workers have counted.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UsageAnswer {
    /// Of which process this is the answer: another one may not have what the one before has taken.
    #[prost(string, tag = "1")]
    pub leader: String,
    /// How many workers share the limits, at least 1.
    #[prost(uint32, tag = "2")]
    pub workers: u32,
    /// Of the limited routes and the windows of the push.
    #[prost(message, repeated, tag = "3")]
    pub sums: Vec<UsageTotal>,
}
