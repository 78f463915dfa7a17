use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use dataplane_snapshot::{Key, Object, Root, Scope, Snapshot, diff};
use operator_core::session::{Event, Reach};
use operator_core::{MAX_SCOPES, Scoped};
use tokio::task::spawn_blocking;

use super::Cluster;
use super::coding::Compression;
use super::state::Current;

/// The current state, and the part of it of each scope that some worker has.
#[derive(Default)]
pub(super) struct States {
    whole: Option<Arc<Current>>,
    parts: BTreeMap<Scope, Part>,
}

struct Part {
    scoped: Scoped,
    current: Arc<Current>,
}

/// Why a scope has no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotOpen {
    NoState,
    TooMany,
}

impl States {
    pub(super) fn get(&self, scope: &Scope) -> Option<&Arc<Current>> {
        if scope.is_all() { self.whole.as_ref() } else { self.parts.get(scope).map(|part| &part.current) }
    }

    fn whole(&self) -> Option<&Arc<Snapshot>> {
        self.whole.as_ref().map(|whole| whole.offer().snapshot(Reach::Machine))
    }

    /// What the session is to know about it.
    fn publish(&mut self, snapshot: Arc<Snapshot>, compression: Compression) -> Vec<Event> {
        let changed = changed(self.whole(), &snapshot);
        let mut events = vec![Event::Published { root: snapshot.root() }];
        for (scope, part) in std::mem::take(&mut self.parts) {
            let scoped = part.scoped.advance(&snapshot, &changed);
            let current = Current::new(scoped.part().state().clone(), Some(&part.current), compression);
            events.push(Event::Narrowed { scope: scope.clone(), part: Some(scoped.part().clone()) });
            self.parts.insert(scope, Part { scoped, current: Arc::new(current) });
        }
        self.whole = Some(Arc::new(Current::new(snapshot, self.whole.as_deref(), compression)));
        events
    }

    /// Lets go of the scopes that nobody has. What the session is to know about it.
    fn sweep(&mut self, have: impl Fn(&Scope) -> bool) -> Vec<Event> {
        let unused: Vec<_> = self.parts.keys().filter(|scope| !have(scope)).cloned().collect();
        unused.iter().for_each(|scope| drop(self.parts.remove(scope)));
        unused.into_iter().map(|scope| Event::Narrowed { scope, part: None }).collect()
    }

    /// Takes the part that was made of `whole`, which may not be the newest any more.
    fn open(&mut self, scoped: Scoped, whole: &Arc<Snapshot>, compression: Compression) -> Option<Event> {
        let newest = self.whole()?;
        let changed = changed(Some(whole), newest);
        let scoped = scoped.advance(newest, &changed);
        let (scope, part) = (scoped.scope().clone(), scoped.part().clone());
        let current = Arc::new(Current::new(part.state().clone(), None, compression));
        self.parts.insert(scope.clone(), Part { scoped, current });
        Some(Event::Narrowed { scope, part: Some(part) })
    }
}

/// The keys of what differs.
fn changed(before: Option<&Arc<Snapshot>>, now: &Arc<Snapshot>) -> Vec<Key> {
    match before {
        Some(before) if !Arc::ptr_eq(before, now) => {
            let changes = diff(before, now);
            changes.upserts.iter().map(Object::key).cloned().chain(changes.removals).collect()
        }
        _ => Vec::new(),
    }
}

impl Cluster {
    pub(super) fn states(&self) -> MutexGuard<'_, States> {
        // What is inside is only replaced by parts that are whole.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What workers with this scope are given now.
    pub(super) fn current(&self, scope: &Scope) -> Option<Arc<Current>> {
        self.states().get(scope).cloned()
    }

    /// See [`operator_core::session::Offer::whole_root`].
    pub(super) fn session_root(&self, root: Root, scope: &Scope, reach: Reach) -> Root {
        // Not under the lock: the first who asks may have to make what is without secrets.
        self.current(scope).map_or(root, |current| current.offer().whole_root(root, reach))
    }

    pub(super) fn publish_state(&self, snapshot: Arc<Snapshot>) {
        let mut states = self.states();
        let events = states.publish(snapshot, self.compression);
        let swept = self.sweep(&mut states);
        // Before anybody else changes the states, so that the session learns of all in their order.
        events.into_iter().chain(swept).for_each(|event| self.handle(event));
    }

    fn sweep(&self, states: &mut States) -> Vec<Event> {
        let sessions = self.lock();
        states.sweep(|scope| sessions.session.members().have(scope))
    }

    /// Makes the part of this scope, if there is none yet. It is done also for a client that doesn't wait until then, as it
    /// comes again.
    pub(super) async fn open(self: &Arc<Self>, scope: &Scope) -> Result<(), NotOpen> {
        if scope.is_all() || self.states().get(scope).is_some() {
            return Ok(());
        }
        let (cluster, scope) = (self.clone(), scope.clone());
        tokio::spawn(async move { cluster.make(&scope).await }).await.unwrap_or(Err(NotOpen::NoState))
    }

    /// Reads every Route, so it is done apart from what serves, and for one scope at a time.
    async fn make(&self, scope: &Scope) -> Result<(), NotOpen> {
        let _alone = self.opening.lock().await;
        let whole = {
            let mut states = self.states();
            if states.get(scope).is_some() {
                return Ok(());
            }
            if states.parts.len() >= MAX_SCOPES {
                self.sweep(&mut states).into_iter().for_each(|event| self.handle(event));
            }
            if states.parts.len() >= MAX_SCOPES {
                tracing::warn!(%scope, most = MAX_SCOPES, "a worker is refused: there are too many different selectors");
                return Err(NotOpen::TooMany);
            }
            states.whole().cloned().ok_or(NotOpen::NoState)?
        };
        let (scope, of) = (scope.clone(), whole.clone());
        let scoped = spawn_blocking(move || Scoped::new(scope, &of)).await.map_err(|_| NotOpen::NoState)?;
        let mut states = self.states();
        let event = states.open(scoped, &whole, self.compression).ok_or(NotOpen::NoState)?;
        self.handle(event);
        Ok(())
    }

    pub(super) fn forget_unused(&self) {
        let states = self.states();
        let parts = states.parts.values().map(|part| &part.current);
        states.whole.iter().chain(parts).for_each(|current| current.forget_unused());
    }
}
