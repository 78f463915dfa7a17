use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use operator_core::usage::{Asks, Sums};
use operator_store::{StateStore, StoreError};
use tokio::time::{Instant, sleep_until};

/// The longest pause between two readings.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Readings of what all workers have counted. Those who ask while one is under way share the next one, so that the work is
/// that of the rows, and not of the rows times those who ask.
pub(super) struct Readings {
    store: Arc<dyn StateStore>,
    /// The one that hasn't begun.
    next: Mutex<Arc<Reading>>,
    /// From when on the next one may begin.
    turn: tokio::sync::Mutex<Instant>,
}

#[derive(Default)]
struct Reading {
    asks: Mutex<Asks>,
    answer: OnceLock<Result<Arc<Sums>, StoreError>>,
}

impl Readings {
    pub(super) fn new(store: Arc<dyn StateStore>) -> Self {
        Self { store, next: Mutex::default(), turn: tokio::sync::Mutex::new(Instant::now()) }
    }

    /// What the store has of all that is asked for, or more, read after this was called.
    pub(super) async fn read(&self, asks: Asks) -> Result<Arc<Sums>, StoreError> {
        let reading = self.join(asks);
        let mut from = self.turn.lock().await;
        if let Some(answer) = reading.answer.get() {
            return answer.clone();
        }
        // Half of the time is left to others. Who comes meanwhile is in time.
        sleep_until(*from).await;
        self.close(&reading);
        let begin = Instant::now();
        let answer = self.sums(&reading).await;
        *from = Instant::now() + begin.elapsed().min(MAX_PAUSE);
        reading.answer.get_or_init(|| answer).clone()
    }

    fn join(&self, asks: Asks) -> Arc<Reading> {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = next.asks.lock().unwrap_or_else(PoisonError::into_inner);
        for (window, routes) in asks {
            all.entry(window).or_default().extend(routes);
        }
        next.clone()
    }

    /// Nobody joins it any more.
    fn close(&self, reading: &Arc<Reading>) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        // If it isn't the next one any more, who had begun it has gone away.
        if Arc::ptr_eq(&next, reading) {
            *next = Arc::default();
        }
    }

    async fn sums(&self, reading: &Reading) -> Result<Arc<Sums>, StoreError> {
        let asks = reading.asks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut rows = Vec::new();
        for (window, routes) in asks {
            let routes: Vec<_> = routes.into_iter().collect();
            rows.extend(self.store.usage(&window, Some(&routes)).await?);
        }
        Ok(Arc::new(Sums::new(rows)))
    }
}

#[cfg(test)]
#[path = "readings_tests.rs"]
mod tests;
