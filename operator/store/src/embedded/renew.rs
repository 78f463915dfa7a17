use std::path::Path;
use std::time::SystemTime;

use dataplane_snapshot::Epoch;
use operator_core::Owner;
use redb::Database;

use super::tables::EPOCHS;
use super::{EmbeddedStore, file, read};
use crate::shared::following;
use crate::{Renewed, StoreError};

impl EmbeddedStore {
    /// Begins a new epoch of the store in the file `path`, and leaves its objects as they are. After that workers take what
    /// it has, though they have seen more of the epoch before: that is so when the file was restored from a backup.
    ///
    /// The file must be there and not be open, by a leader for instance. Blocks.
    pub fn renew(path: &Path, now: SystemTime) -> Result<Renewed, StoreError> {
        let there = path
            .try_exists()
            .map_err(|error| StoreError::Unavailable { reason: format!("{}: {error}", path.display()) })?;
        if !there {
            return Err(StoreError::Unavailable { reason: format!("there is no store {}", path.display()) });
        }
        let database = file::open_or_create(path)?;
        let (before, _) = read::identity(path, &database)?;
        let after = following(&before, now);
        write(&database, &after).map_err(|error| file::explain(path, error))?;
        Ok(Renewed { before, after })
    }
}

fn write(database: &Database, epoch: &Epoch) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(EPOCHS)?.insert(Owner::Store.as_str(), (epoch.id.as_str(), epoch.created_at))?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use dataplane_snapshot::{AsOf, Recency, SourceAsOf};

    use super::super::EmbeddedSettings;
    use super::*;

    #[tokio::test]
    async fn what_is_in_it_stays_and_is_newer_than_all_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let open = || EmbeddedStore::open(&path, EmbeddedSettings::default());
        let store = open().unwrap();
        store.next_file_revision().await.unwrap();
        let error = EmbeddedStore::renew(&path, SystemTime::now()).unwrap_err();
        assert!(matches!(error, StoreError::InUse { .. }), "{error}");
        let before = store.epoch();
        drop(store);

        // By a clock that stands still since 1970, too.
        let renewed = EmbeddedStore::renew(&path, UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        assert_eq!(renewed.before, before);
        let store = open().unwrap();
        assert_eq!(store.epoch(), renewed.after);
        assert_eq!(store.next_file_revision().await.unwrap(), 2, "the numbers go on");
        let as_of = |epoch: &Epoch| {
            let seen = SourceAsOf { epoch: epoch.clone(), revisions: Default::default() };
            AsOf([("store".to_owned(), seen)].into())
        };
        assert_eq!(as_of(&before).recency_of(&as_of(&renewed.after)), Recency::Newer);
    }

    #[test]
    fn a_store_that_is_not_there_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let error = EmbeddedStore::renew(&path, SystemTime::now()).unwrap_err();
        assert!(error.to_string().contains("there is no store"), "{error}");
        assert!(!path.exists());
    }
}
