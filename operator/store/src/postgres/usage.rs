use operator_core::usage::{UsageRow, progress};
use sqlx::Executor as _;

use super::PostgresStore;
use crate::StoreError;
use crate::shared::column;
use crate::usage::{Columns, counts_text, merged, once, row};

/// Of the connections of the pool, how many keep or forget counts at once: the others are for who reads or writes objects.
pub(super) const AT_ONCE: usize = 2;
/// Rows of one statement, and so for how many others wait.
const ROWS: usize = 1_000;

/// The rows are in the order of their names, so that two who raise the same ones don't wait for each other in a circle.
const RAISE: &str = r#"
INSERT INTO usage ("window", route, consumer, worker, progress, counts)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[])
ON CONFLICT ("window", route, consumer, worker) DO UPDATE SET
    progress = excluded.progress, counts = excluded.counts
WHERE usage.progress < excluded.progress"#;

const ALL: &str = r#"SELECT route, consumer, worker, counts FROM usage WHERE "window" = $1"#;
const SOME: &str =
    r#"SELECT route, consumer, worker, counts FROM usage WHERE "window" = $1 AND route = ANY($2)"#;

/// The rows are locked in the order of their names, which is that of their bytes, as those who raise them do.
const FORGET: &str = r#"
WITH old AS (
    SELECT route, consumer, worker FROM usage WHERE "window" = $1 ORDER BY route, consumer, worker LIMIT $2 FOR UPDATE
)
DELETE FROM usage USING old WHERE usage."window" = $1 AND usage.route = old.route
    AND usage.consumer = old.consumer AND usage.worker = old.worker"#;

impl PostgresStore {
    pub(super) async fn keep_usage(&self, rows: &[UsageRow]) -> Result<(), StoreError> {
        let rows = merged(rows);
        let _turn = self.counting.acquire().await.map_err(|error| self.life.unavailable(error))?;
        for part in rows.chunks(ROWS) {
            let texts = |of: fn(&UsageRow) -> &String| -> Vec<String> {
                part.iter().map(|row| of(row).clone()).collect()
            };
            let raise = sqlx::query(RAISE)
                .bind(texts(|row| &row.of.window))
                .bind(texts(|row| &row.of.route))
                .bind(texts(|row| &row.of.consumer))
                .bind(texts(|row| &row.worker))
                .bind(part.iter().map(|row| column(progress(&row.counts))).collect::<Vec<_>>())
                .bind(part.iter().map(|row| counts_text(&row.counts)).collect::<Vec<_>>());
            self.with(async |connection| Ok(connection.execute(raise).await.map(drop)?)).await?;
        }
        Ok(())
    }

    pub(super) async fn read_usage(
        &self,
        window: &str,
        routes: Option<&[String]>,
    ) -> Result<Vec<UsageRow>, StoreError> {
        let read = match routes {
            Some(routes) => {
                let routes: Vec<_> = once(routes).into_iter().map(str::to_owned).collect();
                sqlx::query_as(SOME).bind(window).bind(routes)
            }
            None => sqlx::query_as(ALL).bind(window),
        };
        let rows: Vec<Columns> = self.with(async |connection| Ok(read.fetch_all(connection).await?)).await?;
        rows.into_iter().map(|columns| row(&self.life, window, columns)).collect()
    }

    pub(super) async fn forget_usage(&self, window: &str) -> Result<(), StoreError> {
        let _turn = self.counting.acquire().await.map_err(|error| self.life.unavailable(error))?;
        loop {
            let forget = sqlx::query(FORGET).bind(window).bind(ROWS as i64);
            let forgotten = self.with(async |connection| Ok(connection.execute(forget).await?)).await?;
            if forgotten.rows_affected() == 0 {
                return Ok(());
            }
        }
    }
}
