//! The connections of one thread to one target, and the requests that wait for one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::Upstream;
use crate::stats::Counters;

/// How many connections a lane has.
#[derive(Clone, Copy)]
pub(super) struct Width {
    /// Open ones.
    pub(super) open: usize,
    /// Idle ones.
    pub(super) idle: usize,
}

pub(super) struct Lane {
    width: Width,
    counters: Arc<Counters>,
    /// Last used first.
    #[expect(clippy::vec_box, reason = "a connection comes and goes as a box, which is cheaper to move")]
    idle: RefCell<Vec<Box<Upstream>>>,
    /// Seats that are taken.
    open: Cell<usize>,
    /// In the order in which they came. While there are any, nothing is idle.
    waiting: RefCell<VecDeque<Rc<Waiter>>>,
}

/// Leave to have one connection. When it is given up, the request that waits longest gets it.
pub(crate) struct Seat(Rc<Lane>);

/// What a request that waited gets.
pub(crate) enum Handed {
    Connection(Box<Upstream>),
    Seat(Seat),
}

#[derive(Default)]
struct Waiter {
    /// It isn't among those that wait any more.
    called: Cell<bool>,
    handed: Cell<Option<Handed>>,
    waker: RefCell<Option<Waker>>,
}

/// A place in the queue. Who drops it leaves the queue, and what it was handed goes to the next one.
pub(crate) struct Waiting {
    lane: Rc<Lane>,
    waiter: Rc<Waiter>,
}

impl Lane {
    pub(super) fn new(width: Width, counters: Arc<Counters>) -> Self {
        let (idle, open, waiting) = Default::default();
        Self { width, counters, idle, open, waiting }
    }

    /// The connection used last of those that can be used.
    pub(super) fn take(&self, now: Instant) -> Option<Box<Upstream>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut upstream) = idle.pop() {
            self.counters.upstream_idle.sub(1);
            if upstream.is_usable(now) {
                upstream.reused = true;
                return Some(upstream);
            }
        }
        None
    }

    /// `None`: there are as many connections as there may be, and all are in use.
    pub(super) fn seat(self: &Rc<Self>) -> Option<Seat> {
        if self.open.get() < self.width.open {
            self.open.set(self.open.get() + 1);
            self.counters.upstream_open.add(1);
            return Some(Seat(Rc::clone(self)));
        }
        let evicted = self.idle.borrow_mut().pop();
        evicted.and_then(|upstream| {
            self.counters.upstream_idle.sub(1);
            upstream.into_seat()
        })
    }

    pub(super) fn wait(self: &Rc<Self>) -> Waiting {
        let waiter = Rc::<Waiter>::default();
        self.waiting.borrow_mut().push_back(Rc::clone(&waiter));
        self.counters.upstream_waiting.add(1);
        Waiting { lane: Rc::clone(self), waiter }
    }

    /// For the request that waits longest, or the next one that comes.
    pub(super) fn give(&self, upstream: Box<Upstream>) {
        if let Some(waiter) = self.call() {
            return waiter.hand(Handed::Connection(upstream));
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.width.idle {
            idle.push(upstream);
            self.counters.upstream_idle.add(1);
        }
    }

    fn call(&self) -> Option<Rc<Waiter>> {
        let waiter = self.waiting.borrow_mut().pop_front()?;
        self.counters.upstream_waiting.sub(1);
        Some(waiter)
    }

    fn leave(&self, waiter: &Rc<Waiter>) {
        let mut waiting = self.waiting.borrow_mut();
        // Who came first runs out of time first, so this is short.
        if let Some(place) = waiting.iter().position(|other| Rc::ptr_eq(other, waiter)) {
            waiting.remove(place);
            self.counters.upstream_waiting.sub(1);
        }
    }

    /// Drops the idle connections that can't be used any more. `false`: the lane has nothing left.
    pub(super) fn sweep(&self, now: Instant) -> bool {
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        idle.retain_mut(|upstream| upstream.is_usable(now));
        self.counters.upstream_idle.sub((before - idle.len()) as u64);
        self.open.get() > 0 || !self.waiting.borrow().is_empty()
    }

    pub(super) fn clear(&self) {
        let idle = std::mem::take(&mut *self.idle.borrow_mut());
        self.counters.upstream_idle.sub(idle.len() as u64);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let lane = &self.0;
        if let Some(waiter) = lane.call() {
            return waiter.hand(Handed::Seat(Self(Rc::clone(lane))));
        }
        lane.open.set(lane.open.get().saturating_sub(1));
        lane.counters.upstream_open.sub(1);
    }
}

impl Waiter {
    fn hand(&self, handed: Handed) {
        self.called.set(true);
        self.handed.set(Some(handed));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Future for Waiting {
    type Output = Handed;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Handed> {
        match self.waiter.handed.take() {
            Some(handed) => Poll::Ready(handed),
            None => {
                *self.waiter.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        match self.waiter.handed.take() {
            Some(Handed::Connection(upstream)) => self.lane.give(upstream),
            Some(Handed::Seat(seat)) => drop(seat),
            None if self.waiter.called.get() => {}
            None => self.lane.leave(&self.waiter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(open: usize) -> Rc<Lane> {
        Rc::new(Lane::new(Width { open, idle: 1 }, Arc::default()))
    }

    fn poll(waiting: &mut Waiting) -> Option<Seat> {
        match Pin::new(waiting).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Handed::Seat(seat)) => Some(seat),
            Poll::Ready(Handed::Connection(_)) => panic!("there is no connection here"),
            Poll::Pending => None,
        }
    }

    #[test]
    fn seats_go_to_those_that_wait_in_their_order() {
        let lane = lane(1);
        let seat = lane.seat().unwrap();
        assert!(lane.seat().is_none());
        let (mut first, mut second) = (lane.wait(), lane.wait());
        assert!(poll(&mut first).is_none() && poll(&mut second).is_none());
        drop(seat);
        assert!(lane.seat().is_none(), "who comes now is not before those that wait");
        assert!(poll(&mut second).is_none());
        drop(poll(&mut first).unwrap());
        drop(first);
        let seat = poll(&mut second).unwrap();
        assert_eq!((lane.counters.upstream_open.get(), lane.counters.upstream_waiting.get()), (1, 0));
        drop(seat);
        assert!(lane.seat().is_some());
    }

    #[test]
    fn who_leaves_is_passed_over_and_takes_nothing_along() {
        let lane = lane(1);
        let seat = lane.seat().unwrap();
        let (first, second, mut third) = (lane.wait(), lane.wait(), lane.wait());
        drop(first);
        assert_eq!(lane.counters.upstream_waiting.get(), 2);
        drop(seat);
        drop(second);
        let seat = poll(&mut third).unwrap();
        assert!(lane.sweep(Instant::now()), "a seat is taken");
        drop((seat, third));
        assert!(!lane.sweep(Instant::now()));
        assert_eq!((lane.counters.upstream_open.get(), lane.counters.upstream_waiting.get()), (0, 0));
    }
}
