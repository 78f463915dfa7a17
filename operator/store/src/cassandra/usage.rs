use futures::{StreamExt as _, TryStreamExt as _};
use operator_core::usage::{UsageKey, UsageRow, progress};
use scylla::client::session::Session;
use scylla::errors::PrepareError;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;

use super::CassandraStore;
use super::read::NAMES;
use crate::StoreError;
use crate::shared::column;
use crate::usage::{Columns, counts_text, merged, once, parts, row};

/// Rows of one batch, and batches that are on their way at once.
const ROWS: usize = 100;
const AT_ONCE: usize = 4;
/// The highest progress that is written as a time. Real times, in microseconds since 1970, have been higher since 2001.
const MOST: u64 = 1_000_000_000_000_000;

/// In place of a time each row has its progress. Of two writes of a row the server keeps the one with the higher time, so the
/// further one stays whenever it comes, and nobody has to look before.
const RAISE: &str = "INSERT INTO usage (store, window, route, consumer, worker, value) VALUES (?, ?, ?, ?, ?, ?) \
     USING TIMESTAMP ?";
const ALL: &str = "SELECT route, consumer, worker, value FROM usage WHERE store = ? AND window = ?";
const SOME: &str =
    "SELECT route, consumer, worker, value FROM usage WHERE store = ? AND window = ? AND route IN ?";
/// The time of a deletion is the real one, which no progress reaches: it hides all rows of the window, and also those that
/// are still written later. Nobody asks for these, as the window is over.
const FORGET: &str = "DELETE FROM usage WHERE store = ? AND window = ?";

pub(super) struct UsageStatements {
    raise: PreparedStatement,
    all: PreparedStatement,
    some: PreparedStatement,
    forget: PreparedStatement,
}

impl UsageStatements {
    pub(super) async fn prepare(session: &Session) -> Result<Self, PrepareError> {
        let mut all = session.prepare(ALL).await?;
        all.set_page_size(1_000);
        let mut some = session.prepare(SOME).await?;
        some.set_page_size(1_000);
        let (raise, forget) = (session.prepare(RAISE).await?, session.prepare(FORGET).await?);
        Ok(Self { raise, all, some, forget })
    }
}

impl CassandraStore {
    pub(super) async fn keep_usage(&self, rows: &[UsageRow]) -> Result<(), StoreError> {
        let rows = merged(rows);
        let batches: Vec<_> = parts(&rows, ROWS).map(|(_, part)| self.raise(part)).collect();
        // They may come in any order, and twice.
        let written = batches.into_iter().map(|(batch, values)| async move {
            self.session.batch(&batch, values).await.map(drop).map_err(|error| self.life.unavailable(error))
        });
        futures::stream::iter(written).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Rows of one window and so of one partition: a log of the batch would be for nothing.
    fn raise(&self, rows: &[&UsageRow]) -> (Batch, Vec<impl SerializeRow + use<>>) {
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_is_idempotent(true);
        let values = rows.iter().map(|row| {
            batch.append_statement(self.statements.usage.raise.clone());
            let UsageKey { window, route, consumer } = row.of.clone();
            let time = column(progress(&row.counts).min(MOST));
            (self.store.clone(), window, route, consumer, row.worker.clone(), counts_text(&row.counts), time)
        });
        let values = values.collect();
        (batch, values)
    }

    pub(super) async fn read_usage(
        &self,
        window: &str,
        routes: Option<&[String]>,
    ) -> Result<Vec<UsageRow>, StoreError> {
        let Some(routes) = routes else {
            return self.usage_rows(window, &self.statements.usage.all, (&self.store, window)).await;
        };
        let mut rows = Vec::new();
        for some in once(routes).chunks(NAMES) {
            let values = (&self.store, window, some);
            rows.extend(self.usage_rows(window, &self.statements.usage.some, values).await?);
        }
        Ok(rows)
    }

    async fn usage_rows(
        &self,
        window: &str,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Vec<UsageRow>, StoreError> {
        let pages = self.session.execute_iter(statement.clone(), values).await;
        let pages = pages.map_err(|error| self.life.unavailable(error))?;
        let rows = pages.rows_stream::<Columns>().map_err(|error| self.life.unavailable(error))?;
        let rows: Vec<_> = rows.try_collect().await.map_err(|error| self.life.unavailable(error))?;
        rows.into_iter().map(|columns| row(&self.life, window, columns)).collect()
    }

    pub(super) async fn forget_usage(&self, window: &str) -> Result<(), StoreError> {
        let answer = self.session.execute_unpaged(&self.statements.usage.forget, (&self.store, window)).await;
        answer.map(drop).map_err(|error| self.life.unavailable(error))
    }
}
