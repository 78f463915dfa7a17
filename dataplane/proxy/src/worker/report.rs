use std::sync::Arc;

use dataplane_core::report::{Delivery, Levels, Reporting, STEP};
use dataplane_snapshot::wire;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::client::Client;
use super::{LeaderContact, LeaderUrl, WorkerHealth};

/// How things are with this process at this moment, for its reports.
pub type Look = Arc<dyn Fn() -> Levels + Send + Sync>;

/// Tells the leader that is followed how things are, for as long as the worker runs.
pub(super) async fn run(client: Arc<Client>, mut health: watch::Receiver<WorkerHealth>, look: Look) {
    let started = Instant::now();
    let mut reporting = Reporting::default();
    let mut followed: Option<LeaderUrl> = None;
    let mut step = interval(STEP);
    step.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let newest = leader_of(&health.borrow_and_update());
        if newest != followed {
            reporting.begin(started.elapsed());
            followed = newest;
        }
        if let Some(url) = &followed
            && let Some(report) = reporting.next(look(), started.elapsed())
        {
            let sequence = report.sequence;
            let delivery = deliver(&client, url, report).await;
            reporting.delivered(sequence, delivery, started.elapsed());
        }
        let followed = followed.as_ref();
        tokio::select! {
            _ = step.tick() => {}
            changed = health.wait_for(|health| leader_of(health).as_ref() != followed) => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

/// The leader that this worker follows.
pub(super) fn leader_of(health: &WorkerHealth) -> Option<LeaderUrl> {
    match &health.leader {
        LeaderContact::Following(url) => Some(url.clone()),
        _ => None,
    }
}

async fn deliver(client: &Client, url: &LeaderUrl, report: wire::Report) -> Delivery {
    match client.report(url, report).await {
        Ok(Delivery::Unknown) => {
            tracing::info!(%url, "this leader doesn't know reports: it is of an older version");
            Delivery::Unknown
        }
        Ok(delivery) => delivery,
        Err(reason) => {
            tracing::debug!(reason, "a report wasn't delivered; the next one has all");
            Delivery::Failed
        }
    }
}
