use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane_snapshot::Key;
use operator_core::ObjectStatus;
use operator_core::programmed::{Counted, Ledger, Programmed};
use tokio::sync::watch;

use super::Planned;

/// What there is to say about an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub status: Arc<ObjectStatus>,
    pub programmed: Programmed,
}

/// The verdict on every object that has its key for itself.
pub type Verdicts = BTreeMap<Key, Verdict>;

/// Joins what was planned with what the workers say (`counted`): judges anew at each plan and whenever `workers_changed`.
/// Ends with the planning loop, with the list of workers, or when nobody listens.
pub fn judge(
    mut planned: watch::Receiver<Option<Arc<Planned>>>,
    mut workers_changed: watch::Receiver<u64>,
    counted: impl Fn() -> Vec<Counted> + Send + 'static,
) -> watch::Receiver<Arc<Verdicts>> {
    let (sender, verdicts) = watch::channel(Arc::default());
    tokio::spawn(async move {
        let mut ledger = Ledger::default();
        let mut recorded: Option<Arc<Planned>> = None;
        loop {
            let newest = planned.borrow_and_update().clone();
            workers_changed.borrow_and_update();
            if let Some(newest) = newest {
                if recorded.as_ref().is_none_or(|recorded| !Arc::ptr_eq(recorded, &newest)) {
                    ledger.record(&newest.statuses, &newest.snapshot);
                    recorded = Some(newest.clone());
                }
                let verdicts = Arc::new(verdicts_on(&newest, &mut ledger, &counted()));
                sender.send_if_modified(|old| {
                    let changed = *old != verdicts;
                    *old = verdicts;
                    changed
                });
            }
            let alive = tokio::select! {
                () = sender.closed() => return,
                result = planned.changed() => result,
                result = workers_changed.changed() => result,
            };
            if alive.is_err() {
                return;
            }
        }
    });
    verdicts
}

fn verdicts_on(planned: &Planned, ledger: &mut Ledger, workers: &[Counted]) -> Verdicts {
    let verdicts = ledger.verdicts(workers, planned.snapshot.root()).into_iter();
    verdicts
        .filter_map(|(key, programmed)| {
            let status = planned.statuses.get(&key)?.clone();
            Some((key, Verdict { status, programmed }))
        })
        .collect()
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
