use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use dataplane_snapshot::{AsOf, Root, Snapshot, wire};
use operator_core::session::{Offer, Reach};
use prost::Message as _;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::coding::{Coded, Coding, Compression};

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
    pub(super) fn change(&self, reach: Reach, base: Root, coding: Coding) -> Option<Coded> {
        let rendered = self.encodings(reach).rendered();
        let mut made = rendered.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(change) = made.get(&(base, coding)) {
            return Some(change.clone());
        }
        let change = self.offer.change(reach, base)?.encode_to_vec();
        let change = self.compression.apply(coding, change.into());
        made.insert((base, coding), change.clone());
        Some(change)
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
    /// By the root that they start at.
    changes: Mutex<HashMap<(Root, Coding), Coded>>,
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
