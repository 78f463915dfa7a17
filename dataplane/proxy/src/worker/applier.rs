use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dataplane_core::served::Served;
use dataplane_core::{BackendStates, Router};
use dataplane_snapshot::{Key, Kind, Root, Snapshot};

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
    /// Objects that this worker can't use, with the reason; for most of them the last good version serves. A listener is
    /// among them if it couldn't be opened.
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
}

struct Current<R> {
    served: Served,
    router: Option<Arc<R>>,
}

impl<S: Service> Applier<S> {
    pub fn new(service: S) -> Self {
        let current = Mutex::new(Current { served: Served::default(), router: None });
        Self { service, current }
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
        self.put(&mut current, served)
    }

    /// As [`Self::apply`], from a state file.
    pub fn restore(&self, served: Served) -> Result<Applied, ApplyError> {
        self.put(&mut self.lock(), served)
    }

    fn put(&self, current: &mut Current<S::Router>, mut served: Served) -> Result<Applied, ApplyError> {
        let previous = current.router.clone();
        // A fault of the compile step must not take down what serves.
        let applied = catch_unwind(AssertUnwindSafe(|| {
            let (router, mut rejected) = self.compile(&mut served, previous.as_deref());
            let router = Arc::new(router);
            rejected.extend(self.service.swap(router.clone()).into_iter().map(listener_rejection));
            (router, rejected)
        }));
        let (router, rejected) = applied.map_err(|panic| ApplyError(text_of(&*panic)))?;
        let root = served.snapshot().root();
        *current = Current { served, router: Some(router) };
        Ok(Applied { root, rejected })
    }

    /// Compiles until nothing more is rejected, with last good versions in the place of what is.
    fn compile(
        &self,
        served: &mut Served,
        mut previous: Option<&S::Router>,
    ) -> (S::Router, Vec<(Key, String)>) {
        let mut reasons: Vec<(Key, String)> = Vec::new();
        loop {
            let (router, rejected) = self.service.compile(served, previous.take());
            // The first reason of a key is about the snapshot's object, a later one about what stood in for it.
            let new: Vec<_> =
                rejected.iter().filter(|(key, _)| reasons.iter().all(|(of, _)| of != key)).collect();
            let new: Vec<_> = new.into_iter().cloned().collect();
            reasons.extend(new);
            if !served.reject(&rejected) {
                return (router, reasons);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Current<S::Router>> {
        // What is inside is replaced as a whole.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn listener_rejection(error: ListenError) -> (Key, String) {
    (Key::new(Kind::Listener, "settings", error.listener), error.reason)
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without text").to_owned()
}
