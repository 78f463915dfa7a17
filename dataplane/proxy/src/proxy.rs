use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use dataplane_core::{BreakerState, CompiledBackend, CompiledTarget, Moment, Router};
use dataplane_snapshot::Key;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::connection::LAST_REQUEST_GRACE;
use crate::draw::Draw;
use crate::listen::Listeners;
use crate::probe::{Board, Prober, Surroundings, TargetHealth};
use crate::stats::Counters;
use crate::thread::{self, Command, Parts, Routers};
use crate::tls;
use crate::upstream::Resolver;
use crate::{ListenError, ProxySettings, Stats};

/// Why a proxy couldn't start.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("{0} threads: at least 1 and at most 1024 are possible")]
    Threads(usize),
    #[error("a thread or its runtime couldn't be started: {0}")]
    Start(#[from] std::io::Error),
}

/// How a [`Proxy::drain`] ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Connections that were cut at the deadline.
    pub forced: u64,
}

/// Threads that accept connections and proxy requests. Dropping it cuts all connections and waits for the threads.
pub struct Proxy {
    settings: Arc<ProxySettings>,
    routers: Routers,
    /// Taken for swaps and drains only, never by a request.
    listeners: Mutex<Listeners>,
    threads: Vec<Running>,
    control: Option<JoinHandle<()>>,
    /// What the control thread counts.
    controlled: Arc<Counters>,
    retired: mpsc::UnboundedSender<Arc<Router>>,
    /// Tells the control thread what to probe.
    probed: mpsc::UnboundedSender<Arc<Router>>,
    board: Board,
    epoch: Instant,
}

struct Running {
    commands: Option<mpsc::UnboundedSender<Command>>,
    counters: Arc<Counters>,
    handle: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts the threads. There is no listener before the first [`Proxy::swap`].
    pub fn start(settings: ProxySettings) -> Result<Self, ProxyError> {
        if settings.threads == 0 || settings.threads > 1024 {
            return Err(ProxyError::Threads(settings.threads));
        }
        let settings = Arc::new(settings);
        let (retired, mut retiring) = mpsc::unbounded_channel::<Arc<Router>>();
        let (probed, to_probe) = mpsc::unbounded_channel();
        let (process, epoch) = (RandomState::new().hash_one(0), Instant::now());
        let controlled = Arc::new(Counters::default());
        let draw = Draw::new(process.rotate_left(32));
        let (resolver, lookups) = Resolver::new(settings.names.clone(), epoch, draw, controlled.clone());
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (board, limits) = (Board::default(), settings.limits);
        let (probing, shown) = (resolver.clone(), board.clone());
        let control = std::thread::Builder::new().name("komainu-control".to_owned()).spawn(move || {
            let around = Surroundings::new(probing, limits, epoch, Draw::new(!process), shown);
            let free = async { while retiring.recv().await.is_some() {} };
            let work = async { tokio::join!(lookups.run(), free, Prober::new(around).run(to_probe)) };
            LocalSet::new().block_on(&runtime, work);
        })?;
        let routers: Routers = Arc::new(ArcSwapOption::empty());
        let mut threads = Vec::with_capacity(settings.threads);
        for index in 0..u16::try_from(settings.threads).unwrap_or(u16::MAX) {
            let counters = Arc::new(Counters::default());
            threads.push(spawn(Parts {
                index,
                process,
                epoch,
                settings: settings.clone(),
                counters,
                resolver: resolver.clone(),
                routers: routers.clone(),
                retired: retired.clone(),
            })?);
        }
        let (listeners, control) = (Mutex::default(), Some(control));
        Ok(Self { settings, routers, listeners, threads, control, controlled, retired, probed, board, epoch })
    }

    /// Serves new requests by `router`, and opens, keeps and drains listeners to match it. Requests in flight finish on
    /// the router they began with. A listener that can't be opened is in the answer; the others serve.
    ///
    /// From a [`Proxy::drain`] on only the router changes: no listener opens again.
    pub fn swap(&self, router: Arc<Router>) -> Vec<ListenError> {
        // Held until the threads are told, so that a drain's command comes after all that a swap opens.
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let retired = self.routers.swap(Some(router.clone()));
        let changes = listeners.follow(&router, &self.settings);
        if trusts_the_system(&router) {
            tls::load_system_roots();
        }
        let _ = self.probed.send(router);
        for (name, sockets) in changes.opened {
            for (running, socket) in self.threads.iter().zip(sockets) {
                running.send(Command::Open { listener: name.clone(), socket });
            }
        }
        for running in &self.threads {
            changes
                .changed
                .iter()
                .for_each(|listener| running.send(Command::Change { listener: listener.clone() }));
            changes.closed.iter().for_each(|name| running.send(Command::Close { name: name.clone() }));
            running.send(Command::Refresh);
        }
        if let Some(retired) = retired {
            let _ = self.retired.send(retired);
        }
        changes.failed
    }

    /// The bound address of each open listener.
    pub fn addresses(&self) -> BTreeMap<String, SocketAddr> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).addresses()
    }

    /// Sums of the per-thread counters.
    pub fn stats(&self) -> Stats {
        let threads = self.threads.iter().map(|running| &*running.counters);
        Stats::sum(threads.chain([&*self.controlled]))
    }

    /// The targets that get no requests but a trial, as their circuit breakers opened: backend and id.
    pub fn open_breakers(&self) -> Vec<(Key, Box<str>)> {
        let Some(router) = self.routers.load_full() else { return Vec::new() };
        let open = |target: &&CompiledTarget| target.state.breaker.state() != BreakerState::Closed;
        let of = |backend: &CompiledBackend| {
            backend
                .targets()
                .iter()
                .filter(open)
                .map(|target| (backend.key.clone(), target.id.clone()))
                .collect()
        };
        router.backends().flat_map::<Vec<_>, _>(of).collect()
    }

    /// The backends whose health checks are disbelieved now, as they leave too few targets.
    pub fn disbelieved(&self) -> Vec<Key> {
        let Some(router) = self.routers.load_full() else { return Vec::new() };
        let now = self.now();
        let disbelieved = router.backends().filter(|backend| backend.disbelieves_health(now));
        disbelieved.map(|backend| backend.key.clone()).collect()
    }

    /// The moment on the scale of all that this proxy remembers.
    pub fn now(&self) -> Moment {
        Moment::default().after(self.epoch.elapsed())
    }

    /// What the health checks say, in the order of backends and targets. Targets without one, or without a result so far,
    /// aren't there.
    pub fn health(&self) -> Vec<TargetHealth> {
        self.board.all()
    }

    /// Stops accepting, answers what is in flight and what comes within a moment with `Connection: close`, closes what is idle
    /// then, and cuts what is left after `deadline`.
    pub async fn drain(&self, deadline: Duration) -> DrainReport {
        /// How often it is looked whether the last connection has gone.
        const STEP: Duration = Duration::from_millis(10);
        let grace = LAST_REQUEST_GRACE.min(deadline / 2);
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).drain();
        self.threads.iter().for_each(|running| running.send(Command::Drain { grace }));
        let drained = async {
            while self.threads.iter().any(|running| running.counters.active.get() > 0) {
                tokio::time::sleep(STEP).await;
            }
        };
        if tokio::time::timeout(deadline, drained).await.is_ok() {
            return DrainReport::default();
        }
        let mut forced = 0;
        for running in &self.threads {
            let (sender, receiver) = oneshot::channel();
            running.send(Command::Cut(sender));
            forced += receiver.await.unwrap_or(0);
        }
        DrainReport { forced }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for running in &mut self.threads {
            running.commands = None;
        }
        for running in &mut self.threads {
            if let Some(Err(_)) = running.handle.take().map(JoinHandle::join) {
                tracing::error!("a proxy thread had panicked");
            }
        }
        // The control thread ends with the last sender, which is a field of this.
        drop(self.control.take());
    }
}

impl Running {
    /// A thread that is gone has nothing left to do.
    fn send(&self, command: Command) {
        if let Some(commands) = &self.commands {
            let _ = commands.send(command);
        }
    }
}

/// A target's certificate is to be verified by what the worker's system trusts.
fn trusts_the_system(router: &Router) -> bool {
    let targets = router.backends().flat_map(CompiledBackend::targets);
    targets.filter_map(|target| target.tls.as_ref()).any(|tls| !tls.trust_all && tls.trusted.is_empty())
}

fn spawn(parts: Parts) -> Result<Running, ProxyError> {
    let (commands, receiver) = mpsc::unbounded_channel();
    let counters = parts.counters.clone();
    let (started, outcome) = std::sync::mpsc::channel();
    let name = format!("komainu-{}", parts.index);
    let handle = std::thread::Builder::new().name(name).spawn(move || {
        // The runtime can't leave the thread that made it.
        match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
            Ok(runtime) => {
                let _ = started.send(Ok(()));
                runtime.block_on(thread::run(parts, receiver));
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
    })?;
    outcome.recv().unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()))?;
    Ok(Running { commands: Some(commands), counters, handle: Some(handle) })
}
