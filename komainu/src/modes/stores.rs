use std::sync::Arc;

use operator_store::{EmbeddedSettings, EmbeddedStore, StateStore, StoreError, open_patiently};

use crate::settings::Settings;

/// In the data directory.
pub(crate) const STORE_FILE: &str = "store.redb";

pub(super) struct Opened {
    pub(super) store: Arc<dyn StateStore>,
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
        return Ok(Opened { store: Arc::new(own.clone()), numbers: Some(own), is_shared: false });
    };
    let store = open_patiently(shared).await?;
    let numbers = match settings.resources {
        Some(_) => Some(open_own(settings).await?),
        None => None,
    };
    Ok(Opened { store, numbers, is_shared: true })
}

async fn open_own(settings: &Settings) -> anyhow::Result<EmbeddedStore> {
    let path = settings.data_directory.join(STORE_FILE);
    let open = move || -> Result<_, StoreError> { EmbeddedStore::open(path, EmbeddedSettings::default()) };
    Ok(tokio::task::spawn_blocking(open).await??)
}
