use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::tls::Acceptor;

/// A listener as connections know it.
pub(crate) struct ListenerName {
    pub(crate) name: Arc<str>,
    /// The port that clients see, as a field value.
    pub(crate) port: Box<str>,
    /// Connections begin with a header of the PROXY protocol.
    pub(crate) proxy_protocol: bool,
    /// What clients are greeted with now; `None`: clear text.
    pub(crate) tls: Option<Arc<ArcSwap<Acceptor>>>,
    /// Clients may speak HTTP/2.
    pub(crate) http2: bool,
}

/// What the connections of one listener and thread share, from one change of the listener to the next.
pub(crate) struct Listening {
    pub(crate) listener: Arc<ListenerName>,
    closing: Cell<bool>,
}

impl Listening {
    fn new(listener: Arc<ListenerName>) -> Rc<Self> {
        Rc::new(Self { listener, closing: Cell::new(false) })
    }

    /// Its connections are to end after what is in flight.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get()
    }
}

/// A listening socket of one thread. It stays while its listener changes: the kernel resets connections that are still being
/// made when their socket closes.
pub(crate) struct Accepting {
    now: RefCell<Rc<Listening>>,
    pub(crate) closed: Notify,
}

impl Accepting {
    pub(crate) fn new(listener: Arc<ListenerName>) -> Self {
        Self { now: RefCell::new(Listening::new(listener)), closed: Notify::new() }
    }

    /// What a connection that is accepted now belongs to.
    pub(crate) fn listening(&self) -> Rc<Listening> {
        self.now.borrow().clone()
    }

    pub(crate) fn change(&self, listener: Arc<ListenerName>) {
        self.now.replace(Listening::new(listener)).closing.set(true);
    }

    pub(crate) fn close(&self) {
        self.now.borrow().closing.set(true);
        self.closed.notify_one();
    }
}
