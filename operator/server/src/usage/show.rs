use std::collections::BTreeMap;

use dataplane_snapshot::wire::UsageCounts;
use operator_core::usage::sums;
use operator_store::StoreError;
use serde::Serialize;

use super::Usage;

/// What was counted in one window.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownUsage {
    pub window: String,
    /// By the keys of routes.
    pub routes: BTreeMap<String, ShownRoute>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownRoute {
    #[serde(flatten)]
    pub all: Shown,
    /// By their names; of routes with limits by client address, header or cookie.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub consumers: BTreeMap<String, Shown>,
}

/// Sums over all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// That limits didn't refuse.
    pub requests: u64,
    /// Of them those that limits of the route let pass: what counts against a quota.
    pub admitted: u64,
    /// By limits.
    pub refused: u64,
    /// Bytes from clients.
    pub received: u64,
    /// Bytes to clients.
    pub sent: u64,
    /// Of all of them together.
    pub milliseconds: u64,
    pub statuses: Statuses,
}

/// By the hundreds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statuses {
    #[serde(rename = "1xx")]
    pub informational: u64,
    #[serde(rename = "2xx")]
    pub successful: u64,
    #[serde(rename = "3xx")]
    pub redirecting: u64,
    #[serde(rename = "4xx")]
    pub client_errors: u64,
    #[serde(rename = "5xx")]
    pub server_errors: u64,
}

impl From<UsageCounts> for Shown {
    fn from(counts: UsageCounts) -> Self {
        let statuses = Statuses {
            informational: counts.status_1xx,
            successful: counts.status_2xx,
            redirecting: counts.status_3xx,
            client_errors: counts.status_4xx,
            server_errors: counts.status_5xx,
        };
        Self {
            requests: counts.requests,
            admitted: counts.admitted,
            refused: counts.refused,
            received: counts.received,
            sent: counts.sent,
            milliseconds: counts.micros / 1000,
            statuses,
        }
    }
}

impl Usage {
    /// What was counted in a window: of one route by its key, or of all.
    pub async fn show(&self, window: &str, route: Option<String>) -> Result<ShownUsage, StoreError> {
        let only = route.map(|route| vec![route]);
        let rows = self.store.usage(window, only.as_deref()).await?;
        let mut shown = ShownUsage { window: window.to_owned(), routes: BTreeMap::new() };
        for (key, counts) in sums(rows.iter().filter(|row| !row.of.route.is_empty())) {
            let route = shown.routes.entry(key.route.clone()).or_default();
            match &*key.consumer {
                "" => route.all = counts.into(),
                consumer => _ = route.consumers.insert(consumer.to_owned(), counts.into()),
            }
        }
        Ok(shown)
    }
}
