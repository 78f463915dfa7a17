use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use operator_core::usage::{Asks, Sums};
use operator_store::{StateStore, StoreError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The longest pause between two readings: who waits has a limit for that.
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// Readings of what all workers have counted. Those who ask while one is under way share the next one, so that the work is
/// that of the rows, and not of the rows times those who ask.
pub(super) struct Readings {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn StateStore>,
    /// The one that hasn't begun.
    next: Mutex<Option<Arc<Reading>>>,
    /// From when on the next one may begin.
    turn: tokio::sync::Mutex<Instant>,
}

#[derive(Default)]
struct Reading {
    asks: Mutex<Asks>,
    answer: watch::Sender<Option<Answer>>,
}

type Answer = Result<Arc<Sums>, StoreError>;

impl Readings {
    pub(super) fn new(store: Arc<dyn StateStore>) -> Self {
        let turn = tokio::sync::Mutex::new(Instant::now());
        Self { shared: Arc::new(Shared { store, next: Mutex::default(), turn }) }
    }

    /// What the store has of all that is asked for, or more, read after this was called. It takes up to two readings and the
    /// pause between them.
    pub(super) async fn read(&self, asks: Asks) -> Answer {
        let mut answer = self.join(asks);
        let ended = || StoreError::Unavailable {
            reason: "a reading of usage has ended without an answer".to_owned(),
        };
        let answer = answer.wait_for(Option::is_some).await.map_err(|_| ended())?;
        answer.clone().unwrap_or_else(|| Err(ended()))
    }

    fn join(&self, asks: Asks) -> watch::Receiver<Option<Answer>> {
        let mut next = self.shared.next.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = next.get_or_insert_with(|| {
            let reading = Arc::new(Reading::default());
            // On its own, since those who wait may go away.
            tokio::spawn(self.shared.clone().run(reading.clone()));
            reading
        });
        let mut all = reading.asks.lock().unwrap_or_else(PoisonError::into_inner);
        for (window, routes) in asks {
            all.entry(window).or_default().extend(routes);
        }
        reading.answer.subscribe()
    }
}

impl Shared {
    async fn run(self: Arc<Self>, reading: Arc<Reading>) {
        let mut from = self.turn.lock().await;
        // So that others get on with the store. Who comes meanwhile is in time.
        sleep_until(*from).await;
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let asks = std::mem::take(&mut *reading.asks.lock().unwrap_or_else(PoisonError::into_inner));
        let begin = Instant::now();
        let answer = self.sums(asks).await;
        *from = Instant::now() + begin.elapsed().min(MAX_PAUSE);
        reading.answer.send_replace(Some(answer));
    }

    async fn sums(&self, asks: Asks) -> Answer {
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
