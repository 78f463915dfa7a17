use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dataplane_core::served::Served;
use dataplane_core::{BackendStates, Router};
use dataplane_snapshot::{Key, Kind, Root, Snapshot};
use tokio::sync::watch;

use crate::{ListenError, Proxy};

/// What serves by a compiled form of the objects. There is one, [`ProxyService`]; tests have others.
pub trait Service: Send + Sync + 'static {
    type Router: Send + Sync;

    /// The compiled form, and the objects that can't be part of it. `previous` may be used again in parts.
    fn compile(&self, served: &Served, previous: Option<&Self::Router>)
    -> (Self::Router, Vec<(Key, String)>);

    /// Serves by `router` from now on; gives the listeners that couldn't be opened.
    fn swap(&self, router: Arc<Self::Router>) -> Vec<ListenError>;
}

/// A [`Proxy`] with what it remembers of backends and targets from router to router.
pub struct ProxyService {
    pub proxy: Arc<Proxy>,
    pub states: BackendStates,
}

impl Service for ProxyService {
    type Router = Router;

    fn compile(&self, served: &Served, previous: Option<&Router>) -> (Router, Vec<(Key, String)>) {
        let compiled = Router::compile(served, previous, &self.states);
        (compiled.router, compiled.rejected)
    }

    fn swap(&self, router: Arc<Router>) -> Vec<ListenError> {
        self.proxy.swap(router)
    }
}

/// What has been put in service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub root: Root,
    /// Objects that this worker can't use, with the reason; for most of them the last good version serves. Listeners that
    /// couldn't be opened are not among them: those may change later, see [`Applier::unopened`].
    pub rejected: Vec<(Key, String)>,
}

/// Nothing has changed: what was in service still is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("applying failed: {0}")]
pub struct ApplyError(String);

/// Puts snapshots in service, one at a time.
pub struct Applier<S: Service> {
    service: S,
    current: Mutex<Current<S::Router>>,
    /// Changed only while `current` is locked, so that the newest swap has the last word.
    unopened: watch::Sender<Vec<ListenError>>,
}

struct Current<R> {
    served: Served,
    router: Option<Arc<R>>,
}

impl<S: Service> Applier<S> {
    pub fn new(service: S) -> Self {
        let current = Mutex::new(Current { served: Served::default(), router: None });
        Self { service, current, unopened: watch::Sender::default() }
    }

    pub const fn service(&self) -> &S {
        &self.service
    }

    /// What is in service.
    pub fn served(&self) -> Served {
        self.lock().served.clone()
    }

    /// Compiles and swaps. Takes time by the size of the snapshot: not for a thread that serves.
    pub fn apply(&self, snapshot: Snapshot) -> Result<Applied, ApplyError> {
        let mut current = self.lock();
        let served = current.served.advance(snapshot);
        let previous = current.router.clone();
        self.put(&mut current, served, previous)
    }

    /// As [`Self::apply`], from a state file.
    pub fn restore(&self, served: Served) -> Result<Applied, ApplyError> {
        let mut current = self.lock();
        let previous = current.router.clone();
        self.put(&mut current, served, previous)
    }

    /// Compiles what is in service anew, without using the former result again: something else that counts for it has changed.
    pub fn renew(&self) -> Result<(), ApplyError> {
        let mut current = self.lock();
        if current.router.is_none() {
            return Ok(());
        }
        let served = current.served.clone();
        self.put(&mut current, served, None).map(|_| ())
    }

    /// The listeners of what is in service that aren't open, as of the newest try.
    pub fn unopened(&self) -> watch::Receiver<Vec<ListenError>> {
        self.unopened.subscribe()
    }

    /// Tries again to open the listeners that aren't open. Blocks.
    pub fn retry_listeners(&self) {
        let current = self.lock();
        let before = self.unopened.borrow().clone();
        let Some(router) = current.router.clone().filter(|_| !before.is_empty()) else { return };
        let failed = self.service.swap(router);
        for ListenError { listener, .. } in &before {
            if failed.iter().all(|error| error.listener != *listener) {
                tracing::info!(listener, "the listener is open now");
            }
        }
        self.show(failed);
    }

    fn put(
        &self,
        current: &mut Current<S::Router>,
        mut served: Served,
        previous: Option<Arc<S::Router>>,
    ) -> Result<Applied, ApplyError> {
        // A fault of the compile step must not take down what serves.
        let applied = catch_unwind(AssertUnwindSafe(|| {
            let mut last = previous;
            let (router, rejected) = served.settle(|served| {
                let (router, rejected) = self.service.compile(served, last.as_deref());
                let router = Arc::new(router);
                last = Some(router.clone());
                (router, rejected)
            });
            let unopened = self.service.swap(router.clone());
            (router, rejected, unopened)
        }));
        let (router, rejected, unopened) = applied.map_err(|panic| ApplyError(text_of(&*panic)))?;
        for (key, reason) in &rejected {
            tracing::warn!(%key, reason, "an object can't be used");
        }
        self.show(unopened);
        let root = served.snapshot().root();
        *current = Current { served, router: Some(router) };
        Ok(Applied { root, rejected })
    }

    fn show(&self, unopened: Vec<ListenError>) {
        let before = self.unopened.borrow().clone();
        for error @ ListenError { listener, reason } in &unopened {
            if !before.contains(error) {
                tracing::error!(listener, reason, "the listener can't be opened; it is tried again");
            }
        }
        if before != unopened {
            self.unopened.send_replace(unopened);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Current<S::Router>> {
        // What is inside is replaced as a whole.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listener that isn't open, as a rejected object.
pub(super) fn listener_rejection(error: &ListenError) -> (Key, String) {
    (Key::new(Kind::Listener, "settings", error.listener.as_str()), error.reason.clone())
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without text").to_owned()
}
