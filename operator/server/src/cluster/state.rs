use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use dataplane_snapshot::{AsOf, Kind, Root, Snapshot, diff, manifest, wire};
use operator_core::session::History;
use prost::Message as _;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::coding::{Coded, Coding, Compression};
use super::reach::Reach;

/// The current state, once as it is and once for those who may not have secrets. The second is made by the first of them.
pub(super) struct Current {
    whole: Arc<Encoded>,
    without_secrets: OnceLock<Option<Arc<Encoded>>>,
    history: History,
    compression: Compression,
}

impl Current {
    /// The state that follows `previous`.
    pub(super) fn new(snapshot: Arc<Snapshot>, previous: Option<&Self>, compression: Compression) -> Self {
        let mut history = previous.map(|previous| previous.history.clone()).unwrap_or_default();
        if let Some(previous) = previous.filter(|previous| previous.whole.root() != snapshot.root()) {
            let changes = diff(&previous.whole.snapshot, &snapshot);
            let upserted = changes.upserts.iter().map(|object| object.key().clone());
            history.push(previous.roots(), upserted.chain(changes.removals).collect());
        }
        let whole = Arc::new(Encoded::new(snapshot));
        Self { whole, without_secrets: OnceLock::new(), history, compression }
    }

    pub(super) fn as_of(&self) -> &AsOf {
        self.whole.snapshot.as_of()
    }

    /// By what workers may know this state. Nobody has a form of it that wasn't made.
    fn roots(&self) -> Vec<Root> {
        let without_secrets = self.without_secrets.get().and_then(Option::as_ref);
        [Some(&self.whole), without_secrets].into_iter().flatten().map(|state| state.root()).collect()
    }

    pub(super) fn state(&self, reach: Reach) -> &Arc<Encoded> {
        let has_secrets = || self.whole.snapshot.objects_of(Kind::Secret).next().is_some();
        let without =
            || has_secrets().then(|| Arc::new(Encoded::new(Arc::new(self.whole.snapshot.without_secrets()))));
        match reach {
            Reach::Machine => &self.whole,
            Reach::Network => self.without_secrets.get_or_init(without).as_ref().unwrap_or(&self.whole),
        }
    }

    /// Lets go of what was encoded, unless somebody has asked for it since the last call.
    pub(super) fn forget_unused(&self) {
        self.whole.forget_unused();
        self.without_secrets
            .get()
            .and_then(Option::as_ref)
            .into_iter()
            .for_each(|state| state.forget_unused());
    }

    /// All of it. `None` only while the runtime ends.
    pub(super) async fn encoded(&self, reach: Reach, coding: Coding) -> Option<Coded> {
        let state = self.state(reach).clone();
        let rendered = state.rendered();
        let cell = match coding {
            Coding::Identity => &rendered.identity,
            Coding::Gzip => &rendered.gzip,
            Coding::Zstd => &rendered.zstd,
        };
        let compression = self.compression;
        let encode = move || {
            let bytes = wire::State::from_snapshot(&state.snapshot).encode_to_vec();
            compression.apply(coding, bytes.into())
        };
        cell.get_or_try_init(|| spawn_blocking(encode)).await.ok().cloned()
    }

    /// What turns the state with root `base` into this one. `None`: that one isn't remembered.
    pub(super) fn change(&self, reach: Reach, base: Root, coding: Coding) -> Option<Coded> {
        let state = self.state(reach);
        let rendered = state.rendered();
        let mut made = rendered.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(change) = made.get(&(base, coding)) {
            return Some(change.clone());
        }
        let (mut upserts, mut removals) = (Vec::new(), Vec::new());
        let keys = if base == state.root() { BTreeSet::new() } else { self.history.since(base)? };
        for key in keys {
            match state.snapshot.get(key) {
                Some(object) => upserts.push(object),
                // One that was never there does no harm, but nobody needs to know its name.
                None if reach == Reach::Network && key.kind() == Kind::Secret => {}
                None => removals.push(key.clone()),
            }
        }
        let change = wire::State::from_base(base, &state.snapshot, upserts, removals).encode_to_vec();
        let change = self.compression.apply(coding, change.into());
        made.insert((base, coding), change.clone());
        Some(change)
    }

    /// The same for a state of which only a manifest is known. `None` only while the runtime ends.
    pub(super) async fn difference(
        &self,
        reach: Reach,
        base: Root,
        manifest: Bytes,
        coding: Coding,
    ) -> Option<Coded> {
        let (state, compression) = (self.state(reach).clone(), self.compression);
        let encode = move || {
            let (upserts, removed_ids) = manifest::difference(&manifest, &state.snapshot);
            let change = wire::State::from_base(base, &state.snapshot, upserts, []);
            compression.apply(coding, wire::State { removed_ids, ..change }.encode_to_vec().into())
        };
        spawn_blocking(encode).await.ok()
    }
}

/// A snapshot and, once somebody asked for them, its encoded forms.
pub(super) struct Encoded {
    snapshot: Arc<Snapshot>,
    rendered: Mutex<Arc<Rendered>>,
}

/// Each form is made once, by the first who asks, off the threads that serve.
#[derive(Default)]
struct Rendered {
    identity: OnceCell<Coded>,
    gzip: OnceCell<Coded>,
    zstd: OnceCell<Coded>,
    /// By the root that they start at.
    changes: Mutex<HashMap<(Root, Coding), Coded>>,
    used: AtomicBool,
}

impl Encoded {
    fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot, rendered: Mutex::default() }
    }

    pub(super) fn root(&self) -> Root {
        self.snapshot.root()
    }

    fn rendered(&self) -> Arc<Rendered> {
        let rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        rendered.used.store(true, Ordering::Relaxed);
        rendered.clone()
    }

    fn forget_unused(&self) {
        let mut rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        if !rendered.used.swap(false, Ordering::Relaxed) {
            *rendered = Arc::default();
        }
    }
}
