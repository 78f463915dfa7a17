use std::sync::Arc;
use std::time::Duration;

use operator_core::{Owner, SourceView};
use operator_store::{
    Availability, EmbeddedSettings, EmbeddedStore, ObservedStore, StateStore, StoreError, open_patiently,
    view, watch_view,
};
use tokio::sync::watch;

use crate::settings::Settings;

/// In the data directory.
pub(crate) const STORE_FILE: &str = "store.redb";

/// How long a store that can't be read is left alone, and at most; doubled from one to the next.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

type Views = watch::Sender<Option<Arc<SourceView>>>;

pub(super) struct Opened {
    pub(super) store: Arc<dyn StateStore>,
    /// Whether it answers.
    pub(super) availability: Availability,
    /// What numbers the files of the folder, if there is one: always a store of this process alone. Two leaders on one store
    /// may have read different states of their folders, so their numbers have nothing to do with each other.
    pub(super) numbers: Option<EmbeddedStore>,
    /// Other leaders may have the same one.
    pub(super) is_shared: bool,
}

/// The store of the settings. One on a server that is away is waited for in the background.
pub(super) async fn open(settings: &Settings) -> anyhow::Result<Opened> {
    let Some(shared) = settings.store.shared() else {
        let own = open_own(settings).await?;
        return Ok(opened(Arc::new(own.clone()), Some(own), false));
    };
    let store = open_patiently(shared).await?;
    let numbers = match settings.resources {
        Some(_) => Some(open_own(settings).await?),
        None => None,
    };
    Ok(opened(store, numbers, true))
}

fn opened(store: Arc<dyn StateStore>, numbers: Option<EmbeddedStore>, is_shared: bool) -> Opened {
    let store = ObservedStore::new(store);
    let availability = store.availability();
    Opened { store: Arc::new(store), availability, numbers, is_shared }
}

/// Publishes the objects of the admin API and, where it is asked for, those of a cluster that another leader mirrors into the
/// same store: for a leader outside of it.
///
/// The former come only when it is known whether there is a mirror, as what they are a part of is planned with it or without.
pub(super) async fn follow(store: Arc<dyn StateStore>, written: Views, mirror: Option<Views>) {
    if let Some(mirror) = mirror {
        let mut pause = RETRY.0;
        while let Err(error) =
            view(&*store, Owner::Kubernetes).await.map(|view| mirror.send_replace(view.map(Arc::new)))
        {
            tracing::warn!(%error, "whether the state store has a mirror of Kubernetes can't be read");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY.1);
        }
        tokio::spawn(watch_view(store.clone(), Owner::Kubernetes, mirror));
    }
    watch_view(store, Owner::Store, written).await;
}

async fn open_own(settings: &Settings) -> anyhow::Result<EmbeddedStore> {
    let path = settings.data_directory.join(STORE_FILE);
    let open = move || -> Result<_, StoreError> { EmbeddedStore::open(path, EmbeddedSettings::default()) };
    Ok(tokio::task::spawn_blocking(open).await??)
}
