use std::sync::Mutex;

use super::*;
use crate::suite::key;
use crate::{EmbeddedSettings, EmbeddedStore, Expected};

/// Fails with what it is told to.
#[derive(Default)]
struct Told(Mutex<Option<StoreError>>);

impl Told {
    fn fail(&self, error: Option<StoreError>) {
        *self.0.lock().unwrap() = error;
    }

    fn answer<T>(&self, answer: T) -> Result<T, StoreError> {
        match self.0.lock().unwrap().clone() {
            Some(error) => Err(error),
            None => Ok(answer),
        }
    }
}

#[async_trait]
impl StateStore for Told {
    async fn get(&self, _: Owner, _: &Key) -> Result<Option<StoredObject>, StoreError> {
        self.answer(None)
    }
    async fn list(&self, _: Owner) -> Result<Listing, StoreError> {
        self.answer(Listing { revision: 1, as_of: None, objects: Vec::new() })
    }
    async fn changes_since(&self, _: Owner, _: u64) -> Result<Changes, StoreError> {
        self.answer(Changes::TooOld)
    }
    async fn commit(&self, _: Batch) -> Result<Committed, StoreError> {
        self.answer(Committed { revision: 1, objects: Vec::new() })
    }
    fn epoch(&self) -> Option<String> {
        Some("first".to_owned())
    }
    fn subscribe(&self) -> watch::Receiver<u64> {
        watch::channel(7).1
    }
    async fn hold(&self, _: &str, _: &Candidate, _: Duration) -> Result<Held, StoreError> {
        self.answer(Held { is_me: false, url: "http://other".to_owned(), term: 9 })
    }
    async fn release(&self, _: &str, _: &str) -> Result<(), StoreError> {
        self.answer(())
    }
    async fn raise_usage(&self, _: &[UsageRow]) -> Result<(), StoreError> {
        self.answer(())
    }
    async fn usage(&self, _: &str, _: Option<&[String]>) -> Result<Vec<UsageRow>, StoreError> {
        self.answer(Vec::new())
    }
    async fn drop_usage(&self, _: &str) -> Result<(), StoreError> {
        self.answer(())
    }
}

fn away() -> StoreError {
    StoreError::Unavailable { reason: "the line is cut".to_owned() }
}

fn me() -> Candidate {
    Candidate { id: "me".to_owned(), url: "http://me".to_owned() }
}

fn ten_times(error: Option<StoreError>) -> [Option<StoreError>; 10] {
    std::array::from_fn(|_| error.clone())
}

/// How each call ends.
async fn call_all(store: &dyn StateStore) -> [Option<StoreError>; 10] {
    let batch = Batch { owner: Owner::Store, writes: Vec::new(), as_of: None, fence: None };
    [
        store.get(Owner::Store, &key("a")).await.err(),
        store.list(Owner::Store).await.err(),
        store.changes_since(Owner::Store, 0).await.err(),
        store.commit(batch).await.err(),
        store.delete(&key("a"), Expected::Any).await.err(),
        store.hold("job", &me(), Duration::from_secs(1)).await.err(),
        store.release("job", "me").await.err(),
        store.raise_usage(&[]).await.err(),
        store.usage("2026-11-30", None).await.err(),
        store.drop_usage("2026-11-30").await.err(),
    ]
}

#[tokio::test]
async fn calls_that_are_not_answered_are_counted() {
    let told = Arc::new(Told::default());
    let store = ObservedStore::new(told.clone());
    let availability = store.availability();
    let seen = || (availability.is_available(), availability.failures());
    assert_eq!(seen(), (true, 0), "nothing was asked yet");
    assert_eq!(call_all(&store).await, ten_times(None));
    assert_eq!(seen(), (true, 0));

    told.fail(Some(away()));
    assert_eq!(call_all(&store).await, ten_times(Some(away())));
    assert_eq!(seen(), (false, 10));

    told.fail(None);
    assert!(store.release("job", "me").await.is_ok());
    assert_eq!(seen(), (true, 10));
}

#[tokio::test]
async fn a_store_that_refuses_is_there() {
    let told = Arc::new(Told::default());
    let store = ObservedStore::new(told.clone());
    let availability = store.availability();
    for refusal in [
        StoreError::Conflict { key: key("a"), expected: 1, actual: 2 },
        StoreError::NotFound { key: key("a") },
        StoreError::Fenced { fence: 1, newest: 2 },
    ] {
        told.fail(Some(away()));
        assert_eq!(store.list(Owner::Store).await, Err(away()));
        assert!(!availability.is_available());
        told.fail(Some(refusal.clone()));
        assert_eq!(store.delete(&key("a"), Expected::Present).await, Err(refusal));
        assert!(availability.is_available());
    }
    assert_eq!(availability.failures(), 3);
}

/// The trait has answers of its own to these, for stores of one process.
#[tokio::test]
async fn jobs_and_the_epoch_are_asked_of_the_store() {
    let store = ObservedStore::new(Arc::new(Told::default()));
    let held = store.hold("job", &me(), Duration::from_secs(1)).await;
    assert_eq!(held, Ok(Held { is_me: false, url: "http://other".to_owned(), term: 9 }));
    assert_eq!(store.epoch().as_deref(), Some("first"));
    assert_eq!(*store.subscribe().borrow(), 7);
}

async fn open_observed(deletions: u64) -> Arc<dyn StateStore> {
    let folder = tempfile::tempdir().unwrap();
    // The file stays reachable by the open descriptor after its folder is removed at the end of this function.
    let store = EmbeddedStore::open(folder.path().join("store"), EmbeddedSettings { deletions }).unwrap();
    Arc::new(ObservedStore::new(Arc::new(store)))
}

// It is a store as every other.
crate::state_store_suite!(open_observed);
