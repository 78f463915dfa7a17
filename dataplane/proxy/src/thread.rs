use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use arc_swap::cache::Cache;
use dataplane_core::{Moment, Router};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::accept;
use crate::buffers::Buffers;
use crate::draw::Draw;
use crate::http2::upstream::Carriers;
use crate::listening::{Accepting, ListenerName};
use crate::stats::Counters;
use crate::tls::Connectors;
use crate::upstream::{Pool, Resolver};
use crate::{ProxySettings, Reason};

/// Where the router of the moment is. `None` before the first one.
pub(crate) type Routers = Arc<ArcSwapOption<Router>>;

/// What a thread is told. It arrives between requests.
pub(crate) enum Command {
    /// A listener of the same name closes.
    Open { listener: Arc<ListenerName>, socket: TcpListener },
    /// Greet new connections of the listener so; the ones that are there finish.
    Change { listener: Arc<ListenerName> },
    /// Accept what is queued, then close; connections finish.
    Close { name: Arc<str> },
    /// There is a new router: let go of the old one.
    Refresh,
    Drain {
        /// How long connections without a request wait for a last one.
        grace: Duration,
    },
    /// Cut all connections; answers how many there were.
    Cut(oneshot::Sender<u64>),
}

/// A router as one thread holds it. Requests share it without touching a counter that other threads touch.
pub(crate) struct Pinned {
    pub(crate) router: Arc<Router>,
    retired: mpsc::UnboundedSender<Arc<Router>>,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // A big router takes long to free: that happens on the control thread.
        let _ = self.retired.send(self.router.clone());
    }
}

/// What all tasks of one thread share.
pub(crate) struct Thread {
    pub(crate) settings: Arc<ProxySettings>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) buffers: Rc<Buffers>,
    pub(crate) pool: Pool,
    pub(crate) carriers: Carriers,
    pub(crate) resolver: Resolver,
    pub(crate) connectors: Connectors,
    routers: RefCell<Cache<Routers, Option<Arc<Router>>>>,
    pinned: RefCell<Option<Rc<Pinned>>>,
    retired: mpsc::UnboundedSender<Arc<Router>>,
    draining: Cell<Option<Duration>>,
    connections: RefCell<HashMap<u64, Registered>>,
    next_id: Cell<u64>,
    /// Unlikely to be that of another process, for request ids.
    pub(crate) process: u64,
    pub(crate) index: u16,
    /// When the proxy began: the same for all threads, whose moments are compared.
    epoch: Instant,
    pub(crate) draw: Draw,
}

struct Registered {
    control: Rc<Control>,
    task: AbortHandle,
}

/// Lets the thread wake a connection that waits for its next request.
#[derive(Default)]
pub(crate) struct Control {
    waker: RefCell<Option<Waker>>,
}

impl Control {
    pub(crate) fn wait(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// What a thread is made with.
pub(crate) struct Parts {
    pub(crate) index: u16,
    pub(crate) process: u64,
    pub(crate) epoch: Instant,
    pub(crate) settings: Arc<ProxySettings>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) resolver: Resolver,
    pub(crate) routers: Routers,
    pub(crate) retired: mpsc::UnboundedSender<Arc<Router>>,
}

impl Thread {
    fn new(parts: Parts) -> Self {
        let pool = Pool::new(parts.settings.pool, parts.settings.threads, parts.counters.clone());
        let carriers = Carriers::new(parts.settings.pool.idle_timeout);
        Self {
            settings: parts.settings,
            counters: parts.counters,
            buffers: Rc::default(),
            pool,
            carriers,
            resolver: parts.resolver,
            connectors: Connectors::default(),
            routers: RefCell::new(Cache::new(parts.routers)),
            pinned: RefCell::new(None),
            retired: parts.retired,
            draining: Cell::new(None),
            connections: RefCell::default(),
            next_id: Cell::new(u64::from(parts.index) << 48),
            process: parts.process,
            index: parts.index,
            epoch: parts.epoch,
            draw: Draw::new(parts.process ^ u64::from(parts.index)),
        }
    }

    /// The router of the moment.
    pub(crate) fn router(&self) -> Option<Rc<Pinned>> {
        let mut routers = self.routers.borrow_mut();
        let current = routers.load().as_ref()?;
        let mut pinned = self.pinned.borrow_mut();
        match &*pinned {
            Some(pinned) if Arc::ptr_eq(&pinned.router, current) => Some(pinned.clone()),
            _ => {
                let fresh = Rc::new(Pinned { router: current.clone(), retired: self.retired.clone() });
                *pinned = Some(fresh.clone());
                Some(fresh)
            }
        }
    }

    /// How long connections without a request wait for a last one, if all are to end.
    pub(crate) fn draining(&self) -> Option<Duration> {
        self.draining.get()
    }

    /// Remembers a connection's task, so that it can be woken and cut.
    pub(crate) fn register(&self, control: Rc<Control>, id: u64, task: AbortHandle) {
        self.connections.borrow_mut().insert(id, Registered { control, task });
    }

    pub(crate) fn forget(&self, id: u64) {
        self.connections.borrow_mut().remove(&id);
    }

    /// `instant` as decisions see it.
    pub(crate) fn moment(&self, instant: Instant) -> Moment {
        let micros = instant.saturating_duration_since(self.epoch).as_micros();
        Moment::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// A number that this process gives once.
    pub(crate) fn next_id(&self) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id.wrapping_add(1));
        id
    }

    fn wake_all(&self) {
        for registered in self.connections.borrow().values() {
            registered.control.wake();
        }
    }

    fn cut(&self) -> u64 {
        let connections = std::mem::take(&mut *self.connections.borrow_mut());
        for registered in connections.values() {
            registered.task.abort();
            // Idle connections close by themselves when the proxy stops: this one had an exchange.
            self.counters.reason(Reason::Stopped);
        }
        connections.len() as u64
    }
}

/// Obeys commands until their sender is gone.
pub(crate) async fn run(parts: Parts, mut commands: mpsc::UnboundedReceiver<Command>) {
    let thread = Rc::new(Thread::new(parts));
    let mut open: HashMap<Arc<str>, Rc<Accepting>> = HashMap::new();
    let mut sweep = tokio::time::interval(Duration::from_secs(1));
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let command = tokio::select! {
            command = commands.recv() => command,
            _ = sweep.tick() => {
                let now = Instant::now();
                thread.pool.sweep(now);
                thread.carriers.sweep(now);
                thread.connectors.sweep(now);
                continue;
            }
        };
        match command {
            None => break,
            Some(Command::Open { listener, socket }) => {
                let accepting = Rc::new(Accepting::new(listener.clone()));
                let moved = open.insert(listener.name.clone(), accepting.clone());
                accept::spawn(thread.clone(), accepting, socket);
                if let Some(moved) = moved {
                    moved.close();
                    thread.wake_all();
                }
            }
            Some(Command::Change { listener }) => {
                if let Some(accepting) = open.get(&listener.name) {
                    accepting.change(listener);
                    thread.wake_all();
                }
            }
            Some(Command::Close { name }) => {
                if let Some(accepting) = open.remove(&name) {
                    accepting.close();
                    thread.wake_all();
                }
            }
            Some(Command::Refresh) => drop(thread.router()),
            Some(Command::Drain { grace }) => {
                thread.draining.set(Some(grace));
                open.drain().for_each(|(_, accepting)| accepting.close());
                thread.wake_all();
                thread.pool.clear();
                thread.carriers.clear();
            }
            Some(Command::Cut(answer)) => {
                let _ = answer.send(thread.cut());
            }
        }
    }
    thread.cut();
}
