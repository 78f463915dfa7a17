use std::time::Duration;

use dataplane_core::Timeouts;
use tokio::time::Instant;

use crate::Reason;

/// When the parts of an exchange have to be done. `None`: no limit.
#[derive(Clone, Copy)]
pub(crate) struct Deadlines {
    /// The head of the response, all attempts together.
    pub(crate) global: Option<Instant>,
    /// The head of the response, this attempt.
    pub(crate) call: Option<Instant>,
    /// The end of the response.
    pub(crate) stream: Option<Instant>,
}

impl Deadlines {
    pub(crate) const NONE: Self = Self { global: None, call: None, stream: None };

    pub(crate) fn new(timeouts: &Timeouts, started: Instant) -> Self {
        Self {
            global: after(started, timeouts.global),
            call: after(started, timeouts.call),
            stream: after(started, timeouts.call_and_stream),
        }
    }

    /// The same for another attempt.
    pub(crate) fn again(self, timeouts: &Timeouts, now: Instant) -> Self {
        Self { call: after(now, timeouts.call), stream: after(now, timeouts.call_and_stream), ..self }
    }

    /// What ends the wait for the head of the response.
    pub(crate) fn head(&self) -> [(Option<Instant>, Reason); 3] {
        [
            (self.call, Reason::CallTimeout),
            (self.global, Reason::GlobalTimeout),
            (self.stream, Reason::CallAndStreamTimeout),
        ]
    }
}

pub(crate) fn after(from: Instant, duration: Option<Duration>) -> Option<Instant> {
    from.checked_add(duration?)
}

/// The one that comes first.
pub(crate) fn first(all: impl IntoIterator<Item = (Option<Instant>, Reason)>) -> Option<(Instant, Reason)> {
    all.into_iter().filter_map(|(at, reason)| Some((at?, reason))).min_by_key(|(at, _)| *at)
}

/// What a timeout means, for people.
pub(crate) const fn sentence(reason: Reason) -> &'static str {
    match reason {
        Reason::ConnectionTimeout => {
            "connecting to the target took longer than the backend's connection timeout"
        }
        Reason::ProxyTimeout => {
            "the forward proxy couldn't be asked for the target within the backend's connection timeout"
        }
        Reason::QueueTimeout => {
            "no connection to the target became free within the backend's connection timeout"
        }
        Reason::CallTimeout => "the target's response didn't begin within the backend's call timeout",
        Reason::GlobalTimeout => "no response began within the backend's global timeout",
        Reason::CallAndStreamTimeout => "the exchange took longer than the backend's call and stream timeout",
        Reason::IdleTimeout => "nothing moved between proxy and target for the backend's idle timeout",
        Reason::BodyTimeout => "the request body stopped arriving",
        _ => "",
    }
}
