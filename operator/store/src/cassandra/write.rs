use dataplane_snapshot::Epoch;
use operator_core::Owner;
use scylla::client::session::Session;
use scylla::statement::batch::{Batch, BatchType};
use scylla::value::CqlValue;

use super::statements::Statements;
use crate::shared::{self, column};

/// Rows that are removed in one step.
const CLEARED: usize = 100;

/// Up to which revision deletions are forgotten, and how many are left.
pub(super) struct Forgetting {
    pub(super) until: u64,
    pub(super) left: u64,
}

/// The statements of one write, which happen together or not at all.
pub(super) struct Write<'s> {
    statements: &'s Statements,
    store: &'s str,
    pub(super) batch: Batch,
    pub(super) values: Vec<Vec<CqlValue>>,
    /// What it replaces.
    replaced: Vec<(String, String)>,
}

impl<'s> Write<'s> {
    pub(super) fn new(statements: &'s Statements, store: &'s str) -> Self {
        // All is in one partition, so a log of the batch would be for nothing.
        Self {
            statements,
            store,
            batch: Batch::new(BatchType::Unlogged),
            values: Vec::new(),
            replaced: Vec::new(),
        }
    }

    pub(super) fn put(&mut self, section: String, name: String, value: String) {
        self.batch.append_statement(self.statements.put.clone());
        let store = self.store.to_owned();
        self.values.push([store, section, name, value].map(CqlValue::Text).to_vec());
    }

    pub(super) fn remove(&mut self, section: String, name: String) {
        self.batch.append_statement(self.statements.remove.clone());
        let store = self.store.to_owned();
        self.values.push([store, section, name].map(CqlValue::Text).to_vec());
    }

    /// Removes something after the rest is written. Within it a reader could see the removal on one copy, and what it is replaced
    /// with not yet on another one.
    pub(super) fn clear(&mut self, section: String, name: String) {
        self.replaced.push((section, name));
    }

    /// What isn't removed, as when a leader ends, is in nobody's way.
    pub(super) async fn clear_replaced(&self, session: &Session) {
        for rows in self.replaced.chunks(CLEARED) {
            let mut batch = Batch::new(BatchType::Unlogged);
            rows.iter().for_each(|_| batch.append_statement(self.statements.remove.clone()));
            let values: Vec<_> = rows.iter().map(|(section, name)| (self.store, section, name)).collect();
            if let Err(error) = session.batch(&batch, values).await {
                tracing::debug!(%error, "what was replaced isn't removed");
            }
        }
    }

    /// The condition of all of it: that the store is the same, at the first of the revisions.
    pub(super) fn raise(
        &mut self,
        owner: Owner,
        (before, after): (u64, u64),
        seen: String,
        (forgetting, fence): (&Forgetting, u64),
        epoch: &Epoch,
    ) {
        let (owner, number) = (|| text(owner.as_str()), |number| CqlValue::BigInt(column(number)));
        self.batch.append_statement(self.statements.raise.clone());
        self.values.push(vec![
            number(after),
            owner(),
            CqlValue::Text(seen),
            owner(),
            number(forgetting.until),
            owner(),
            number(forgetting.left),
            owner(),
            number(fence),
            text(self.store),
            number(before),
            CqlValue::Text(shared::epoch_text(epoch)),
        ]);
    }
}

fn text(text: &str) -> CqlValue {
    CqlValue::Text(text.to_owned())
}
