//! What the limits of routes let pass and refused on this worker, as metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dataplane_core::limit::UsageStates;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::encode::{counter, family, gauge};

/// Routes with metrics of their own: the first that have limits, by their names.
const MAX_NAMED: usize = 1000;

#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) usage: Arc<UsageStates>,
    /// How many pushes weren't taken.
    pub(crate) push_failures: Arc<AtomicU64>,
}

impl Collector for Limits {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Workers that share the limits of routes, as far as this one knows";
        gauge(&mut encoder, "limit_workers", help, i64::from(self.usage.workers()))?;
        let help = "Pushes of what requests came to that weren't taken";
        counter(&mut encoder, "limit_push_failures", help, self.push_failures.load(Ordering::Relaxed))?;
        let routes = self.usage.routes();
        let limited = routes.iter().filter(|route| route.is_limited()).take(MAX_NAMED);
        let counted: Vec<_> = limited
            .map(|route| (format!("{}/{}", route.key.namespace(), route.key.name()), route.whole.counts()))
            .collect();
        for (name, help, refused) in [
            ("limit_passed_requests", "Requests that the limits of their route let pass", false),
            ("limit_refused_requests", "Requests that the limits of their route refused", true),
        ] {
            let values: Vec<_> = counted
                .iter()
                .map(|(route, counts)| (&**route, if refused { counts.refused } else { counts.admitted }))
                .collect();
            family(&mut encoder, name, help, "route", &values)?;
        }
        Ok(())
    }
}
