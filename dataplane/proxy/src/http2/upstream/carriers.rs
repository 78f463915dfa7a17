use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use dataplane_core::PoolKey;
use rustc_hash::FxHashMap;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::carrier::Carrier;
use super::stream::Http2Stream;

/// The HTTP/2 connections of a thread.
pub(crate) struct Carriers {
    idle_timeout: Duration,
    of: RefCell<FxHashMap<PoolKey, Place>>,
}

/// The connections to one place.
#[derive(Default)]
struct Place {
    open: Vec<Rc<Carrier>>,
    /// Somebody connects, and tells by this when that is over.
    connecting: Option<Rc<Notify>>,
    /// The target chose HTTP/1.1 the last time: connections that can't be shared needn't be waited for.
    declines: bool,
}

/// How a request gets to its target.
pub(crate) enum Way<'c> {
    /// On a connection that is there.
    Stream(Http2Stream),
    /// By a new connection, which others wait for meanwhile.
    Connect(Turn<'c>),
}

/// The right to connect. Dropping it gives it to the next one.
pub(crate) struct Turn<'c> {
    carriers: &'c Carriers,
    key: PoolKey,
    /// What others wait for, if they do.
    over: Option<Rc<Notify>>,
}

impl Carriers {
    pub(crate) fn new(idle_timeout: Duration) -> Self {
        Self { idle_timeout, of: RefCell::default() }
    }

    /// A stream on a connection that has room, or the right to open another. One request connects at a time: the others
    /// may find room on what it opens. `anew`: what is open by now is no good.
    pub(crate) async fn way(&self, key: PoolKey, mut anew: bool) -> Way<'_> {
        loop {
            if !anew && let Some(stream) = self.stream(key) {
                return Way::Stream(stream);
            }
            let waiting = {
                let mut of = self.of.borrow_mut();
                let place = of.entry(key).or_default();
                if place.declines {
                    return Way::Connect(Turn { carriers: self, key, over: None });
                }
                let Some(connecting) = place.connecting.clone() else {
                    let over = Rc::new(Notify::new());
                    place.connecting = Some(over.clone());
                    return Way::Connect(Turn { carriers: self, key, over: Some(over) });
                };
                connecting
            };
            waiting.notified().await;
            anew = false;
        }
    }

    /// A stream on the first connection that has room, so that the others become idle when there is less to do.
    fn stream(&self, key: PoolKey) -> Option<Http2Stream> {
        let mut of = self.of.borrow_mut();
        let open = &mut of.get_mut(&key)?.open;
        open.retain(|carrier| carrier.is_open());
        open.iter().find(|carrier| carrier.has_room()).cloned().map(Http2Stream::new)
    }

    /// Lets go of what is closed and of what has had no stream for long. Called now and then, off the request path.
    pub(crate) fn sweep(&self, now: Instant) {
        self.of.borrow_mut().retain(|_, place| {
            place.open.retain(|carrier| {
                let idle = carrier.idle_since().map(|since| now.saturating_duration_since(since));
                carrier.is_open() && idle.is_none_or(|idle| idle < self.idle_timeout)
            });
            !place.open.is_empty() || place.connecting.is_some()
        });
    }

    /// Lets go of all connections; the streams on them go on.
    pub(crate) fn clear(&self) {
        self.of.borrow_mut().values_mut().for_each(|place| place.open.clear());
    }
}

impl Turn<'_> {
    /// Others may use `carrier`, too, which leads to `key`.
    pub(crate) fn share(self, key: PoolKey, carrier: Rc<Carrier>) -> Http2Stream {
        let stream = Http2Stream::new(carrier.clone());
        let mut of = self.carriers.of.borrow_mut();
        let place = of.entry(key).or_default();
        place.open.push(carrier);
        place.declines = false;
        drop(of);
        stream
    }

    /// The target speaks HTTP/1.1 after all.
    pub(crate) fn decline(self) {
        self.carriers.of.borrow_mut().entry(self.key).or_default().declines = true;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Some(over) = self.over.take() else { return };
        if let Some(place) = self.carriers.of.borrow_mut().get_mut(&self.key) {
            place.connecting = None;
        }
        over.notify_waiters();
    }
}
