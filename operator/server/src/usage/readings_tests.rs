use std::sync::atomic::{AtomicUsize, Ordering};

use dataplane_snapshot::Key;
use dataplane_snapshot::wire::UsageCounts;
use operator_core::Owner;
use operator_core::usage::{UsageKey, UsageRow};
use operator_store::{Batch, Changes, Committed, Listing, StoredObject};
use tokio::sync::watch;

use super::*;

fn away<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable { reason: "away".to_owned() })
}

/// Takes a second for an answer, and tells with it how often it was asked.
#[derive(Default)]
struct SlowStore {
    asked: AtomicUsize,
    is_lost: bool,
}

#[async_trait::async_trait]
impl StateStore for SlowStore {
    async fn usage(&self, window: &str, routes: Option<&[String]>) -> Result<Vec<UsageRow>, StoreError> {
        let requests = self.asked.fetch_add(1, Ordering::Relaxed) as u64 + 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
        if self.is_lost {
            return away();
        }
        let routes = routes.unwrap_or_default();
        let row = |route: &String| UsageRow {
            of: UsageKey { window: window.to_owned(), route: route.clone(), consumer: String::new() },
            worker: "w".to_owned(),
            counts: UsageCounts { requests, admitted: routes.len() as u64, ..UsageCounts::default() },
        };
        Ok(routes.iter().map(row).collect())
    }
    async fn get(&self, _: Owner, _: &Key) -> Result<Option<StoredObject>, StoreError> {
        away()
    }
    async fn list(&self, _: Owner) -> Result<Listing, StoreError> {
        away()
    }
    async fn changes_since(&self, _: Owner, _: u64) -> Result<Changes, StoreError> {
        away()
    }
    async fn commit(&self, _: Batch) -> Result<Committed, StoreError> {
        away()
    }
    async fn raise_usage(&self, _: &[UsageRow]) -> Result<(), StoreError> {
        away()
    }
    async fn drop_usage(&self, _: &str) -> Result<(), StoreError> {
        away()
    }
    fn subscribe(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}

fn asks(route: &str) -> Asks {
    Asks::from([("2026-11-30".to_owned(), [route.to_owned(), String::new()].into())])
}

/// Which of the store's answers it is, and of how many routes with that of no name.
async fn read(readings: &Readings, route: &str) -> (u64, u64) {
    let sums = readings.read(asks(route)).await.unwrap();
    let windows = ["2026-11-30".to_owned()];
    let UsageCounts { requests, admitted, .. } = sums.beats(&windows).next().unwrap().counts;
    (requests, admitted)
}

fn readings(is_lost: bool) -> (Arc<SlowStore>, Readings) {
    let store = Arc::new(SlowStore { is_lost, ..SlowStore::default() });
    (store.clone(), Readings::new(store))
}

#[tokio::test(start_paused = true)]
async fn those_who_ask_during_a_reading_share_the_next_one() {
    let (store, readings) = readings(false);
    let later = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        tokio::join!(read(&readings, "a"), read(&readings, "b"), read(&readings, "b"))
    };
    let begin = Instant::now();
    let (first, (a, b, also)) = tokio::join!(read(&readings, "a"), later);
    assert_eq!((first, a, b, also), ((1, 2), (2, 3), (2, 3), (2, 3)), "after they came, and of all");
    assert_eq!(store.asked.load(Ordering::Relaxed), 2);
    assert_eq!(begin.elapsed(), Duration::from_millis(2250), "two readings, and a pause");
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(read(&readings, "a").await, (3, 2), "nothing is left of what was asked before");
}

#[tokio::test(start_paused = true)]
async fn one_who_goes_away_takes_nothing_from_the_others() {
    let (store, readings) = readings(false);
    let gone = tokio::time::timeout(Duration::from_millis(300), read(&readings, "a"));
    let (gone, b) = tokio::join!(gone, read(&readings, "b"));
    assert!(gone.is_err());
    assert_eq!(b, (1, 3), "what had begun goes on");
    assert_eq!(read(&readings, "c").await, (2, 2));
    assert_eq!(store.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_told_to_all_who_wait_for_it_and_to_nobody_later() {
    let (store, readings) = readings(true);
    let later = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        tokio::join!(readings.read(asks("b")), readings.read(asks("c")))
    };
    let (first, (one, other)) = tokio::join!(readings.read(asks("a")), later);
    assert!(first.is_err() && one.is_err() && other.is_err());
    assert_eq!(store.asked.load(Ordering::Relaxed), 2);
    readings.read(asks("a")).await.unwrap_err();
    assert_eq!(store.asked.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn all_windows_are_read() {
    let (_, readings) = readings(false);
    let mut two = asks("a");
    two.insert("2026-11".to_owned(), [String::new()].into());
    let windows = ["2026-11", "2026-11-30"].map(str::to_owned);
    assert_eq!(readings.read(two).await.unwrap().beats(&windows).count(), 2);
}
