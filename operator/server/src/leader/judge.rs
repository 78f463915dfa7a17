use std::sync::Arc;

use operator_core::programmed::{Counted, Ledger, Verdicts};
use tokio::sync::watch;

use super::Planned;

/// Joins what was planned with what the workers that count say: judges anew when either changes. Ends with the planning
/// loop, with the list of workers, or when nobody listens.
pub fn judge(
    mut planned: watch::Receiver<Option<Arc<Planned>>>,
    mut workers: watch::Receiver<Arc<Vec<Counted>>>,
) -> watch::Receiver<Verdicts> {
    let (sender, verdicts) = watch::channel(Verdicts::default());
    tokio::spawn(async move {
        let mut ledger = Ledger::default();
        let mut recorded: Option<Arc<Planned>> = None;
        loop {
            let newest = planned.borrow_and_update().clone();
            let counted = workers.borrow_and_update().clone();
            if let Some(newest) = newest {
                if recorded.as_ref().is_none_or(|recorded| !Arc::ptr_eq(recorded, &newest)) {
                    ledger.record(&newest.statuses, &newest.snapshot);
                    recorded = Some(newest.clone());
                }
                let verdicts = ledger.verdicts(&counted, newest.snapshot.root());
                sender.send_if_modified(|old| {
                    let changed = old != verdicts;
                    old.clone_from(verdicts);
                    changed
                });
            }
            let alive = tokio::select! {
                () = sender.closed() => return,
                result = planned.changed() => result,
                result = workers.changed() => result,
            };
            if alive.is_err() {
                return;
            }
        }
    });
    verdicts
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
