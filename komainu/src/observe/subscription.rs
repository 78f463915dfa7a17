//! How a worker stands with its leader, as metrics.

use dataplane_core::subscription::Failure;
use dataplane_proxy::worker::{LeaderContact, WorkerHealth};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use tokio::sync::watch;

use super::encode::{counter, family, gauge, signed};

#[derive(Debug)]
pub(crate) struct Subscription(pub(crate) watch::Receiver<WorkerHealth>);

impl Collector for Subscription {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let health = self.0.borrow().clone();
        let following = matches!(health.leader, LeaderContact::Local | LeaderContact::Following(_));
        let stale = matches!(health.leader, LeaderContact::Stale(_));
        for (name, help, value) in [
            ("worker_ready", "1 if traffic may be sent here", i64::from(health.ready.is_ok())),
            ("worker_following", "1 if a leader answers well", i64::from(following)),
            ("worker_stale_leader", "1 if the leader has less than what is served", i64::from(stale)),
            (
                "worker_plain_polling",
                "1 if a leader is asked at an interval instead of holding polls",
                i64::from(health.plain_polling),
            ),
            ("worker_rejected_objects", "Objects that this worker can't use", signed(health.rejected)),
            (
                "worker_refused_state",
                "1 if a state as a whole is refused",
                i64::from(health.refused.is_some()),
            ),
            (
                "worker_not_persisted",
                "1 if what is served isn't in the state file",
                i64::from(health.not_persisted.is_some()),
            ),
        ] {
            gauge(&mut encoder, name, help, value)?;
        }
        if let Some(age) = health.age() {
            let (name, help) = (
                "worker_leader_contact_age_seconds",
                "Time since a leader last answered well, also before the start",
            );
            gauge(&mut encoder, name, help, age.as_secs_f64())?;
        }
        let failures = Failure::REASONS.map(|reason| {
            let count = health.poll_failure_reasons.get(reason).copied();
            (reason, count.unwrap_or_default())
        });
        let name = "worker_poll_failure_reasons";
        family(&mut encoder, name, "Failed polls, by what failed", "reason", &failures)?;
        counter(&mut encoder, "worker_poll_failures", "Failed polls", health.poll_failures)?;
        let help = "Failed writes of the state file";
        counter(&mut encoder, "worker_persist_failures", help, health.persist_failures)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;
    use tokio::time::Instant;

    use super::*;

    /// In whole hours, as a test takes some time.
    fn shown(health: WorkerHealth) -> Option<u64> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Subscription(watch::Sender::new(health).subscribe())));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let seconds =
            text.lines().find_map(|line| line.strip_prefix("worker_leader_contact_age_seconds "))?;
        Some(seconds.parse::<f64>().unwrap() as u64 / 3600)
    }

    #[test]
    fn the_age_of_what_is_served_from_disk_is_shown_before_a_leader_answers() {
        assert_eq!(shown(WorkerHealth::default()), None, "nothing is known");
        let contact_on_disk = Some((Duration::from_secs(7200), Instant::now()));
        let from_disk = WorkerHealth { contact_on_disk, ..WorkerHealth::default() };
        assert_eq!(shown(from_disk.clone()), Some(2));
        assert_eq!(shown(WorkerHealth { last_contact: Some(Instant::now()), ..from_disk }), Some(0));
    }
}
