//! The head of a store: the static columns of its partition, and what is known to be settled of it.
//!
//! A majority of copies may not have yet what another one has, and what is only about to be written is on some. A SERIAL read
//! brings it to its end, but who does so at the same time as others, or as a writer, is sent to sleep by the server for up to
//! 100 ms, and leaders all read at the same time: after a write. So a writer notes what is on a majority once it knows, and a
//! head with that revision is as good.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dataplane_snapshot::Epoch;
use operator_core::Owner;
use scylla::DeserializeRow;
use scylla::client::session::Session;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::statement::prepared::PreparedStatement;
use tokio::time::sleep;

use super::connect::AnyError;
use super::statements::Statements;
use crate::shared::{self, column, number};

/// How often the head is read that other writers keep busy.
const READING: u32 = 3;
/// The pauses until it is looked again whether who has written has noted it.
const SETTLING: [Duration; 2] = [Duration::from_millis(3), Duration::from_millis(6)];

/// A row beside the objects, and what is static.
#[derive(DeserializeRow)]
pub(super) struct HeadRow {
    name: String,
    value: Option<String>,
    pub(super) schema_version: Option<i32>,
    epoch: Option<String>,
    revision: Option<i64>,
    pub(super) seen: Option<HashMap<String, String>>,
    forgotten: Option<HashMap<String, i64>>,
    deletions: Option<HashMap<String, i64>>,
    fences: Option<HashMap<String, i64>>,
}

impl HeadRow {
    pub(super) fn revision(&self) -> u64 {
        number(self.revision.unwrap_or_default())
    }

    pub(super) fn epoch_text(&self) -> Option<&str> {
        self.epoch.as_deref()
    }

    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.epoch_text().and_then(shared::epoch)
    }

    pub(super) fn forgotten(&self, owner: Owner) -> u64 {
        of(self.forgotten.as_ref(), owner)
    }

    pub(super) fn deletions(&self, owner: Owner) -> u64 {
        of(self.deletions.as_ref(), owner)
    }

    pub(super) fn fence(&self, owner: Owner) -> u64 {
        of(self.fences.as_ref(), owner)
    }
}

fn of(map: Option<&HashMap<String, i64>>, owner: Owner) -> u64 {
    map.and_then(|map| map.get(owner.as_str()).copied()).map(number).unwrap_or_default()
}

pub(super) struct Heads {
    pub(super) session: Arc<Session>,
    pub(super) statements: Arc<Statements>,
    /// The partition.
    pub(super) store: String,
}

impl Heads {
    /// The head that nobody has seen later: what was begun is at its end.
    pub(super) async fn certain(&self) -> Result<Option<HeadRow>, AnyError> {
        let mut tries = 1;
        loop {
            match self.rows(&self.statements.head).await {
                // Others write at the same time: asking again does no harm.
                Err(error) if tries < READING && is_contended(&*error) => tries += 1,
                rows => return Ok(rows?.into_iter().next()),
            }
        }
    }

    /// A head up to whose revision every majority has all. It has what was acknowledged before.
    pub(super) async fn settled(&self) -> Result<Option<HeadRow>, AnyError> {
        let mut pauses = SETTLING.into_iter();
        loop {
            match self.look().await {
                Ok((head, true)) => return Ok(head),
                Err(error) if !is_contended(&*error) => return Err(error),
                Ok((_, false)) | Err(_) => {}
            }
            match pauses.next() {
                Some(pause) => sleep(pause).await,
                None => break,
            }
        }
        let head = self.certain().await?;
        // The others needn't ask so, too.
        if let Some((epoch, revision)) = head.as_ref().and_then(|head| Some((head.epoch()?, head.revision())))
        {
            self.settle(&epoch, revision).await;
        }
        Ok(head)
    }

    /// The head as a majority has it now, and whether it is settled.
    pub(super) async fn look(&self) -> Result<(Option<HeadRow>, bool), AnyError> {
        let mut rows = self.rows(&self.statements.head_now).await?.into_iter();
        let head = rows.next();
        let is_settled = head.as_ref().is_some_and(|head| {
            let name = head.epoch_text().map(settled_in);
            let settled = rows.find(|row| Some(&row.name) == name.as_ref()).and_then(|row| row.value);
            settled.and_then(|text| text.parse().ok()) == Some(head.revision())
        });
        Ok((head, is_settled))
    }

    /// Notes that a majority has all up to this revision of the epoch. Who reads gets on without it, though slower.
    pub(super) async fn settle(&self, epoch: &Epoch, revision: u64) {
        // In place of the time, so that the highest one stays; from that of the epoch on, so that what was removed before it
        // doesn't count. In microseconds.
        let time = column(epoch.created_at.saturating_mul(1_000).saturating_add(revision));
        let values = (&self.store, settled_in(&shared::epoch_text(epoch)), revision.to_string(), time);
        if let Err(error) = self.session.execute_unpaged(&self.statements.settle, values).await {
            tracing::debug!(%error, revision, "that a write is settled isn't noted");
        }
    }

    /// That of no name is the first.
    async fn rows(&self, statement: &PreparedStatement) -> Result<Vec<HeadRow>, AnyError> {
        let answer = self.session.execute_unpaged(statement, (&self.store,)).await?.into_rows_result()?;
        Ok(answer.rows::<HeadRow>()?.collect::<Result<_, _>>()?)
    }
}

/// The name of the row that says what is settled in an epoch.
fn settled_in(epoch: &str) -> String {
    format!("settled {epoch}")
}

/// Copies didn't agree in time, as with many writers at once.
fn is_contended(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(
        error.downcast_ref(),
        Some(ExecutionError::LastAttemptError(RequestAttemptError::DbError(DbError::ReadTimeout { .. }, _)))
    )
}
