use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use dataplane_snapshot::{AsOf, Key, Root, Snapshot, wire};
use operator_core::session::{Offer, Reach};
use prost::Message as _;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::changes::{Change, Changes};
use super::coding::{Coded, Coding, Compression};

/// A change of no more than so many objects and bytes is encoded on the spot: it takes some 100 µs, and most are far smaller.
const FEW_OBJECTS: usize = 256;
const FEW_BYTES: usize = 64 * 1024;

/// The current state with its encoded forms.
pub(super) struct Current {
    offer: Offer,
    whole: Encoded,
    without_secrets: Encoded,
    compression: Compression,
}

impl Current {
    /// The state that follows `previous`.
    pub(super) fn new(snapshot: Arc<Snapshot>, previous: Option<&Self>, compression: Compression) -> Self {
        let offer = Offer::new(snapshot, previous.map(|previous| &previous.offer));
        Self { offer, whole: Encoded::default(), without_secrets: Encoded::default(), compression }
    }

    pub(super) fn as_of(&self) -> &AsOf {
        self.offer.snapshot(Reach::Machine).as_of()
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        self.offer.snapshot(Reach::Machine).get(key).is_some()
    }

    pub(super) const fn offer(&self) -> &Offer {
        &self.offer
    }

    /// Where those with one content share what is encoded.
    fn encodings(&self, reach: Reach) -> &Encoded {
        let is_whole = self.offer.snapshot(reach).root() == self.offer.snapshot(Reach::Machine).root();
        if is_whole { &self.whole } else { &self.without_secrets }
    }

    /// Lets go of what was encoded, unless somebody has asked for it since the last call.
    pub(super) fn forget_unused(&self) {
        self.whole.forget_unused();
        self.without_secrets.forget_unused();
    }

    /// All of it. `None` only while the runtime ends.
    pub(super) async fn encoded(&self, reach: Reach, coding: Coding) -> Option<Coded> {
        let rendered = self.encodings(reach).rendered();
        let cell = match coding {
            Coding::Identity => &rendered.identity,
            Coding::Gzip => &rendered.gzip,
            Coding::Zstd => &rendered.zstd,
        };
        let (snapshot, compression) = (self.offer.snapshot(reach).clone(), self.compression);
        let encode = move || {
            let bytes = wire::State::from_snapshot(&snapshot).encode_to_vec();
            compression.apply(coding, bytes.into())
        };
        cell.get_or_try_init(|| spawn_blocking(encode)).await.ok().cloned()
    }

    /// What turns the state with root `base` into this one. `None`: that one isn't remembered.
    pub(super) fn change(&self, reach: Reach, base: Root, coding: Coding) -> Option<Change> {
        let rendered = self.encodings(reach).rendered();
        if let Some(change) = rendered.changes.find(base, coding) {
            return Some(change);
        }
        let is_few = self.offer.objects_since(reach, base)? <= FEW_OBJECTS;
        let few = if is_few { self.offer.change(reach, base) } else { None };
        let change = match few.filter(|change| change.encoded_len() <= FEW_BYTES) {
            Some(few) => Change::Small(self.compression.apply(coding, few.encode_to_vec().into())),
            None => Change::Large(Arc::default()),
        };
        Some(rendered.changes.keep(base, coding, change))
    }

    /// What [`Change::Large`] stands for. `None` only while the runtime ends.
    pub(super) async fn large_change(
        self: Arc<Self>,
        cell: &OnceCell<Coded>,
        reach: Reach,
        base: Root,
        coding: Coding,
    ) -> Option<Coded> {
        let encode = move || {
            let change = self.offer.change(reach, base)?.encode_to_vec();
            Some(self.compression.apply(coding, change.into()))
        };
        let made = cell.get_or_try_init(|| async { spawn_blocking(encode).await.ok().flatten().ok_or(()) });
        made.await.ok().cloned()
    }

    /// The same for a state of which only a manifest is known. `None` only while the runtime ends.
    pub(super) async fn difference(
        self: Arc<Self>,
        reach: Reach,
        base: Root,
        manifest: Bytes,
        coding: Coding,
    ) -> Option<Coded> {
        let encode = move || {
            let change = self.offer.difference(reach, base, &manifest).encode_to_vec();
            self.compression.apply(coding, change.into())
        };
        spawn_blocking(encode).await.ok()
    }
}

/// The encoded forms of one snapshot, once somebody asked for them.
#[derive(Default)]
struct Encoded {
    rendered: Mutex<Arc<Rendered>>,
}

/// Each form is made once, by the first who asks, off the threads that serve.
#[derive(Default)]
struct Rendered {
    identity: OnceCell<Coded>,
    gzip: OnceCell<Coded>,
    zstd: OnceCell<Coded>,
    changes: Changes,
    used: AtomicBool,
}

impl Encoded {
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
