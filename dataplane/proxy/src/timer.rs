use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// The one timer of a connection. Most deadlines are met long before they pass, so it is only set again when it fires
/// too early or has to fire sooner: about once per timeout and not once per request.
#[derive(Default)]
pub(crate) struct Timer(Option<(Instant, Pin<Box<Sleep>>)>);

impl Timer {
    /// Ready once `deadline` has passed; else the task is woken then, or sooner.
    pub(crate) fn poll(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let (armed, sleep) = self.0.get_or_insert_with(|| (deadline, Box::pin(sleep_until(deadline))));
        if deadline < *armed {
            sleep.as_mut().reset(deadline);
            *armed = deadline;
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
            *armed = deadline;
        }
        Poll::Pending
    }
}
