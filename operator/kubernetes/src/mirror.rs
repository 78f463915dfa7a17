//! The mirror of the cluster in the state store: what a leader serves that starts while the API server is away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dataplane_snapshot::{Key, SharedMap, SourceAsOf};
use operator_core::{Owner, SourceView};
use operator_store::{Batch, Draft, Expected, StateStore, StoreError, StoredObject, Write};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::read::{Seen, mirrored};
use crate::watched::View;

/// How long the store may take to give the mirror before the leader goes on without.
const LOAD_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after the first failed write, and the longest; doubled from one to the next.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Who holds the Lease for this long while the store knows a higher number than the Lease gives is the holder all the same: the
/// Lease was restored from a backup, for instance. Longer than a former holder may believe that it still is one.
const FENCED: Duration = Duration::from_secs(20);

/// What the mirror had when the leader started.
#[derive(Debug)]
pub(crate) struct Mirrored {
    pub(crate) as_of: SourceAsOf,
    pub(crate) objects: BTreeMap<Key, Seen>,
}

impl Mirrored {
    pub(crate) fn source_view(&self) -> SourceView {
        let observed = |(key, seen): (&Key, &Seen)| (key.clone(), seen.observed.clone());
        SourceView {
            owner: Owner::Kubernetes,
            as_of: self.as_of.clone(),
            objects: self.objects.iter().map(observed).collect(),
        }
    }
}

/// What the mirror has of the namespaces that `is_watched`; `None` if there never was one, or if the store can't be read.
pub(crate) async fn load(store: &dyn StateStore, is_watched: impl Fn(&str) -> bool) -> Option<Mirrored> {
    let mut last = String::from("it doesn't answer");
    let reading = async {
        loop {
            match store.list(Owner::Kubernetes).await {
                Ok(listing) => return listing,
                Err(error) => last = error.to_string(),
            }
            sleep(PAUSE.0).await;
        }
    };
    let Ok(listing) = timeout(LOAD_TIMEOUT, reading).await else {
        tracing::warn!(
            error = last,
            "the mirror of Kubernetes can't be read; only the API server can tell what there is"
        );
        return None;
    };
    let objects = listing.objects.into_iter().filter(|object| is_watched(object.key.namespace()));
    Some(Mirrored { as_of: listing.as_of?, objects: objects.map(mirrored).collect() })
}

/// Whether this leader keeps the mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirroring {
    /// Another leader does, in the same store.
    No,
    /// The store is this leader's alone.
    Own,
    /// For the time of this number; who comes later has a higher one.
    Term(u64),
}

/// Writes each view into the store while it is this leader's turn; what comes while it writes is merged. Runs until there are
/// no more views.
pub(crate) async fn keep(
    store: Arc<dyn StateStore>,
    mut views: watch::Receiver<Option<Arc<View>>>,
    mut mirroring: watch::Receiver<Mirroring>,
) {
    let (mut stored, mut known, mut pause) = (None, Mirroring::No, PAUSE.0);
    let mut since = Instant::now();
    let mut term = None;
    loop {
        let (view, turn) = (views.borrow_and_update().clone(), *mirroring.borrow_and_update());
        if turn != known {
            // Another leader may have written meanwhile.
            (stored, known) = (None, turn);
            (since, term) = (Instant::now(), None);
        }
        if let Some(view) = view.filter(|_| turn != Mirroring::No) {
            let turn = term.map_or(turn, Mirroring::Term);
            if let Err(error) = bring(&*store, &mut stored, &view, turn).await {
                if let StoreError::Fenced { newest, .. } = error
                    && since.elapsed() > FENCED
                {
                    term = Some(newest + 1);
                }
                tracing::warn!(%error, "Kubernetes objects can't be mirrored; they are served all the same");
                stored = None;
                // After a failure the newest view is taken, which may be another one by then.
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
                continue;
            }
            pause = PAUSE.0;
        }
        tokio::select! {
            changed = views.changed() => if changed.is_err() { return },
            Ok(()) = mirroring.changed() => {}
        }
    }
}

/// What the store is known to have.
struct Stored {
    as_of: Option<SourceAsOf>,
    objects: Objects,
}

enum Objects {
    /// As it was read: each has to be looked at.
    Read(BTreeMap<Key, Kept>),
    /// As it was written: what isn't shared with a later view has changed.
    Written(SharedMap<Key, Seen>),
}

/// What counts when two versions of an object are compared.
#[derive(Clone, Debug, PartialEq)]
struct Kept {
    generation: i64,
    labels: BTreeMap<String, String>,
    spec: Arc<str>,
}

impl Kept {
    fn of(object: StoredObject) -> (Key, Self) {
        (object.key, Self { generation: object.generation, labels: object.labels, spec: object.spec })
    }

    fn wanted(Seen { observed, spec, .. }: &Seen) -> Self {
        Self { generation: observed.generation, labels: observed.labels.clone(), spec: spec.clone() }
    }

    fn is(&self, Seen { observed, spec, .. }: &Seen) -> bool {
        self.generation == observed.generation && self.labels == observed.labels && self.spec == *spec
    }
}

async fn bring(
    store: &dyn StateStore,
    stored: &mut Option<Stored>,
    view: &View,
    turn: Mirroring,
) -> Result<(), StoreError> {
    let fence = match turn {
        Mirroring::Term(term) => Some(term),
        Mirroring::No | Mirroring::Own => None,
    };
    let known = match stored {
        Some(known) => known,
        None => {
            // First, so that what is read isn't changed any more by who did it before.
            if fence.is_some() {
                store
                    .commit(Batch { owner: Owner::Kubernetes, writes: Vec::new(), as_of: None, fence })
                    .await?;
            }
            let listing = store.list(Owner::Kubernetes).await?;
            let objects = listing.objects.into_iter().map(Kept::of).collect();
            stored.insert(Stored { as_of: listing.as_of, objects: Objects::Read(objects) })
        }
    };
    let writes = difference(&known.objects, view);
    // Also a risen as-of alone: workers have it from this view, and would refuse a leader that later starts from less.
    // Changes of statuses make no view, so this isn't a write for each of them.
    if writes.is_empty() && known.as_of.as_ref() == Some(&view.as_of) {
        return Ok(());
    }
    for batch in batches(writes, &view.as_of) {
        store.commit(Batch { fence, ..batch }).await?;
    }
    known.as_of = Some(view.as_of.clone());
    known.objects = Objects::Written(view.seen.clone());
    Ok(())
}

/// What has to be written so that `stored` becomes `view`.
fn difference(stored: &Objects, view: &View) -> Vec<Write> {
    match stored {
        Objects::Read(kept) => {
            let changed =
                view.seen.iter().filter(|(key, now)| !kept.get(*key).is_some_and(|kept| kept.is(now)));
            let gone = kept.keys().filter(|key| !view.seen.contains_key(key));
            changed.map(|(key, now)| write(key, Some(now))).chain(gone.map(|key| write(key, None))).collect()
        }
        Objects::Written(seen) => {
            let is_same = |one: &Seen, other: &Seen| Arc::ptr_eq(&one.observed, &other.observed);
            seen.differences(&view.seen, is_same).map(|(key, _, now)| write(key, now)).collect()
        }
    }
}

fn write(key: &Key, now: Option<&Seen>) -> Write {
    let draft = now.map(Kept::wanted).map(|Kept { generation, labels, spec }| Draft {
        generation: Some(generation),
        labels,
        spec,
    });
    Write { key: key.clone(), expected: Expected::Any, draft }
}

/// The last batch alone claims the as-of of the view: a mirror that got a part of it has seen no more than before.
fn batches(writes: Vec<Write>, as_of: &SourceAsOf) -> Vec<Batch> {
    let mut chunks = operator_store::batches(writes);
    if chunks.is_empty() {
        chunks.push(Vec::new());
    }
    let last = chunks.len() - 1;
    let batch = |(index, writes)| Batch {
        owner: Owner::Kubernetes,
        writes,
        as_of: (index == last).then(|| as_of.clone()),
        fence: None,
    };
    chunks.into_iter().enumerate().map(batch).collect()
}

#[cfg(test)]
#[path = "mirror_tests.rs"]
mod tests;
