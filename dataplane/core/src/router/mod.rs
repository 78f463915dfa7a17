use dataplane_snapshot::Key;

use crate::served::Served;
use crate::{BackendStates, CompiledListener, Decision, ListenerId, RequestHead};

/// Everything that a worker knows about requests, compiled. Immutable; shares with its predecessor what stayed the same.
#[derive(Clone, Debug, Default)]
pub struct Router {
    listeners: Box<[CompiledListener]>,
}

/// A router, and the objects that couldn't be made part of it. The others are served all the same.
#[derive(Debug)]
pub struct Compiled {
    pub router: Router,
    pub rejected: Vec<(Key, String)>,
}

impl Router {
    /// What of `previous` is still right is used again; the result is the same without it.
    pub fn compile(_objects: &Served, _previous: Option<&Self>, _states: &BackendStates) -> Compiled {
        Compiled { router: Self::default(), rejected: Vec::new() }
    }

    /// In the order of their names.
    pub fn listeners(&self) -> impl Iterator<Item = &CompiledListener> {
        self.listeners.iter()
    }

    pub fn listener_id(&self, name: &str) -> Option<ListenerId> {
        self.listeners.binary_search_by(|listener| (*listener.name).cmp(name)).ok().map(ListenerId)
    }

    pub fn route<H: RequestHead>(&self, _listener: ListenerId, _head: &H) -> Decision<'_> {
        Decision::NotFound
    }
}
