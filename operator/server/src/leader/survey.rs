use std::sync::Arc;

use operator_core::overview::{Overviews, Survey};
use operator_core::programmed::Verdicts;
use operator_core::used_up::UsedUp;
use tokio::sync::watch;

use crate::cluster::Cluster;

/// Joins the verdicts with what workers say of targets: looks anew when either changes. Ends with the verdicts, or when nobody
/// listens.
pub fn survey(
    mut verdicts: watch::Receiver<Verdicts>,
    cluster: Arc<Cluster>,
    mut used_up: watch::Receiver<Arc<UsedUp>>,
) -> watch::Receiver<Overviews> {
    let (sender, overviews) = watch::channel(Overviews::default());
    tokio::spawn(async move {
        let mut health = cluster.health_changed();
        let mut survey = Survey::default();
        loop {
            health.borrow_and_update();
            let newest = verdicts.borrow_and_update().clone();
            survey.limits(&used_up.borrow_and_update().clone());
            let told = cluster.take_health_changes();
            let next = survey.update(&newest, told, |backend| cluster.backend_health(backend));
            sender.send_if_modified(|old| {
                let changed = !old.is_copy_of(next);
                old.clone_from(next);
                changed
            });
            let alive = tokio::select! {
                () = sender.closed() => return,
                result = verdicts.changed() => result,
                result = health.changed() => result,
                result = used_up.changed() => result,
            };
            if alive.is_err() {
                return;
            }
        }
    });
    overviews
}
