use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// The one timer of a connection. Most deadlines are met long before they pass, so it is only set again when it fires
/// too early or has to fire sooner: about once per timeout and not once per request.
#[derive(Default)]
pub(crate) struct Timer(Option<Armed>);

struct Armed {
    at: Instant,
    sleep: Pin<Box<Sleep>>,
    /// The task is woken when it fires. It is always the same task, so asking once is enough.
    registered: bool,
}

impl Timer {
    /// Ready once `deadline` has passed; else the task is woken then, or sooner. To be used by one task only.
    pub(crate) fn poll(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let armed = self.0.get_or_insert_with(|| Armed {
            at: deadline,
            sleep: Box::pin(sleep_until(deadline)),
            registered: false,
        });
        if deadline < armed.at {
            armed.set(deadline);
        }
        loop {
            if armed.registered && !armed.sleep.is_elapsed() {
                return Poll::Pending;
            }
            if armed.sleep.as_mut().poll(cx).is_pending() {
                armed.registered = true;
                return Poll::Pending;
            }
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            armed.set(deadline);
        }
    }
}

impl Armed {
    fn set(&mut self, deadline: Instant) {
        self.sleep.as_mut().reset(deadline);
        self.at = deadline;
        self.registered = false;
    }
}
