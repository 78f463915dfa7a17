use std::collections::{BTreeMap, BTreeSet};

use dataplane_snapshot::wire::UsageCounts;
use operator_core::usage::{UsageKey, UsageRow, is_further};

use super::Progress;
use crate::{StateStore, StoreError};

/// Rows of one step.
const ROWS: usize = 1_000;

/// What workers have counted: by what it is of, and the worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted(BTreeMap<(UsageKey, String), UsageCounts>);

impl Counted {
    pub(super) async fn read(store: &dyn StateStore, windows: &BTreeSet<String>) -> Result<Self, StoreError> {
        let mut counted = Self::default();
        for window in windows {
            let rows = store.usage(window, None).await?.into_iter();
            // Signs of life are of no use elsewhere.
            counted.extend(rows.filter(|row| !row.of.route.is_empty()));
        }
        Ok(counted)
    }

    /// Raises what the store has to this. What is further there stays.
    pub(super) async fn write(
        &self,
        store: &dyn StateStore,
        progress: Progress<'_>,
    ) -> Result<(), StoreError> {
        let rows: Vec<_> = self.rows().collect();
        let mut done = 0;
        for rows in rows.chunks(ROWS) {
            store.raise_usage(rows).await?;
            done += rows.len();
            progress(done, self.len());
        }
        Ok(())
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = UsageRow> {
        let row = |((of, worker), counts): (&(UsageKey, String), &UsageCounts)| UsageRow {
            of: of.clone(),
            worker: worker.clone(),
            counts: *counts,
        };
        self.0.iter().map(row)
    }

    pub(super) fn extend(&mut self, rows: impl IntoIterator<Item = UsageRow>) {
        self.0.extend(rows.into_iter().map(|UsageRow { of, worker, counts }| ((of, worker), counts)));
    }

    pub(super) fn retain(&mut self, windows: &BTreeSet<String>) {
        self.0.retain(|(of, _), _| windows.contains(&of.window));
    }

    /// What the other has counted further, or alone. What this one has counted since is no difference.
    pub fn behind<'c>(&'c self, other: &'c Self) -> impl Iterator<Item = &'c UsageKey> {
        let is_behind = |(row, counts): &(&(UsageKey, String), &UsageCounts)| {
            self.0.get(row).is_none_or(|own| is_further(counts, own))
        };
        other.0.iter().filter(is_behind).map(|((of, _), _)| of)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
