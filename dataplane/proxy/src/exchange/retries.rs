//! Which target a request goes to, and whether it goes to another one when that failed.

use std::future::poll_fn;
use std::task::Poll;

use dataplane_core::{Choice, CompiledTarget, Outcome, Permit, Retries, Tried};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::attempt::{Attempt, Ended, Unanswered};
use super::deadlines::Deadlines;
use super::outgoing::Outgoing;
use super::relay::RequestSide;
use crate::Reason;
use crate::answer::Failure;
use crate::connection::Connection;
use crate::stats::RetryOutcome;
use crate::thread::Thread;

/// A target that a request may be sent to.
struct Picked<'a> {
    target: &'a CompiledTarget,
    permit: Permit<'a>,
}

impl<'a> Outgoing<'a> {
    /// Sends the request until it has a response to pass on or may not be sent again; then what came last is the answer.
    pub(super) async fn send<S>(
        &self,
        connection: &mut Connection<S>,
        mut side: RequestSide,
    ) -> Result<Attempt<'a>, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let retries = self.matched.backend.retries();
        if let Some(retries) = retries {
            retries.count_request(connection.thread.moment(self.started));
        }
        let mut deadlines = Deadlines::new(self.timeouts, self.started);
        let mut tried = Tried::default();
        let mut began = self.started;
        let mut picked = match self.pick(&connection.thread, &tried, began) {
            Ok(picked) => picked,
            Err(failure) => {
                side.leave(&mut connection.stream);
                return Err(failure);
            }
        };
        loop {
            let target = picked.target;
            let ended = self.attempt(connection, target, side, &mut deadlines, began).await;
            self.judge(&connection.thread, picked, &ended, began);
            let Some(retries) = retries else { return ended.result(connection) };
            let fault =
                ended.fault().filter(|fault| retries.rule.allows(*fault, || self.request.is_idempotent()));
            if tried.count() > 0 {
                let outcome = if fault.is_some() { RetryOutcome::Failed } else { RetryOutcome::Answered };
                connection.thread.counters.retry(outcome);
            }
            tried.add(target);
            if fault.is_none() || !ended.side().is_repeatable() {
                return ended.result(connection);
            }
            let Some(next) = self.wait(connection, retries, &tried, &deadlines).await? else {
                return ended.result(connection);
            };
            picked = next;
            let is_head = self.request.head.method.of(self.request.bytes) == b"HEAD";
            side = ended.into_side(connection, is_head).await.again();
            began = Instant::now();
            deadlines = deadlines.again(self.timeouts, began);
        }
    }

    /// Sends the request to one target.
    pub(super) async fn send_once<S>(
        &self,
        connection: &mut Connection<S>,
        side: RequestSide,
    ) -> Result<Attempt<'a>, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let began = self.started;
        let picked = self.pick(&connection.thread, &Tried::default(), began)?;
        let mut deadlines = Deadlines::new(self.timeouts, began);
        let ended = self.attempt(connection, picked.target, side, &mut deadlines, began).await;
        self.judge(&connection.thread, picked, &ended, began);
        ended.result(connection)
    }

    /// The target whose turn it is and that its circuit breaker lets the request to.
    fn pick(&self, thread: &Thread, tried: &Tried, now: Instant) -> Result<Picked<'a>, Failure> {
        let backend = self.matched.backend;
        let now = thread.moment(now);
        let mut passed = None;
        for _ in 0..=backend.targets().len() {
            let random = thread.draw.next();
            let choice = Choice { head: self.request, tried: passed.as_ref().unwrap_or(tried), now, random };
            let Some(target) = self.matched.pick(&choice) else { break };
            if let Some(permit) = backend.admit(target, now) {
                return Ok(Picked { target, permit });
            }
            passed.get_or_insert_with(|| tried.clone()).add(target);
        }
        Err(if backend.is_breaker_open(now) {
            let message = "the circuit breakers of the backend's targets are open after errors in a row";
            Failure::new(Reason::BreakerOpen, message)
        } else {
            Failure::new(Reason::NoTarget, "the backend has no target that takes requests")
        })
    }

    /// Tells the target's state how an attempt that began at `began` ended.
    fn judge(&self, thread: &Thread, picked: Picked<'_>, ended: &Ended<'_>, began: Instant) {
        let backend = self.matched.backend;
        let Picked { target, permit } = picked;
        let now = || thread.moment(Instant::now());
        let (outcome, opened) = match ended {
            Ended::Answered(attempt) => {
                let status = attempt.head.status;
                let outcome = if status >= 500 { Outcome::Failed } else { Outcome::Answered };
                (outcome, backend.answered(target, permit, status, now))
            }
            Ended::Failed(Unanswered { failure, .. }) if failure.reason.blames_target() => {
                (Outcome::Lost, backend.failed(target, permit, now()))
            }
            Ended::Failed(_) => return,
        };
        if backend.measures() {
            let end = Instant::now();
            let took = end.saturating_duration_since(began);
            target.state.latency.observe(thread.moment(end), took, outcome);
        }
        if opened {
            thread.counters.breaker_openings.add(1);
            tracing::warn!(backend = %backend.key, id = &*target.id, "the circuit breaker opens");
        }
    }

    /// Waits for the next attempt. `None`: there may be none.
    async fn wait<S>(
        &self,
        connection: &mut Connection<S>,
        retries: &Retries,
        tried: &Tried,
        deadlines: &Deadlines,
    ) -> Result<Option<Picked<'a>>, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let attempts = u32::try_from(tried.count()).unwrap_or(u32::MAX);
        if attempts > retries.rule.count() {
            return Ok(None);
        }
        let thread = &connection.thread;
        let now = Instant::now();
        let at = now.checked_add(retries.rule.delay(attempts, thread.draw.next()));
        let at = at.filter(|at| deadlines.global.is_none_or(|global| *at < global));
        let Some(at) = at else {
            thread.counters.retry(RetryOutcome::TooLate);
            return Ok(None);
        };
        if !retries.withdraw(thread.moment(now)) {
            thread.counters.retry(RetryOutcome::OverBudget);
            return Ok(None);
        }
        let Connection { stream, timer, .. } = connection;
        let gone = poll_fn(|cx| match stream.poll_gone(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending => timer.poll(at, cx).map(|()| false),
        });
        if gone.await {
            return Err(Failure::new(Reason::ClientGone, ""));
        }
        Ok(self.pick(&connection.thread, tried, Instant::now()).ok())
    }
}
