use std::sync::Arc;
use std::time::Instant;

use operator_core::programmed::Counted;
use operator_core::propagation::Propagation;
use tokio::sync::watch;

use super::{Metrics, Planned};

/// Measures how long changes take to all workers that count. Ends with the planning loop or with the list of workers.
pub fn measure(
    mut planned: watch::Receiver<Option<Arc<Planned>>>,
    mut workers: watch::Receiver<Arc<Vec<Counted>>>,
    metrics: &Metrics,
) {
    let metrics = metrics.clone();
    tokio::spawn(async move {
        let started = Instant::now();
        let mut propagation = Propagation::default();
        loop {
            if let Some(newest) = planned.borrow_and_update().as_deref() {
                let since = newest.seen.saturating_duration_since(started);
                propagation.planned(newest.snapshot.root(), newest.snapshot.as_of(), since);
            }
            let counted = workers.borrow_and_update().clone();
            let took = propagation.applied(&counted, started.elapsed());
            metrics.propagated(&took, propagation.pending());
            let alive = tokio::select! {
                result = planned.changed() => result,
                result = workers.changed() => result,
            };
            if alive.is_err() {
                return;
            }
        }
    });
}

#[cfg(test)]
#[path = "measure_tests.rs"]
mod tests;
