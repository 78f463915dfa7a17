use std::sync::Arc;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::connect::AnyError;
use crate::shared::number;

/// Asks for the revision now and then.
pub(super) struct Ask {
    pub(super) session: Arc<Session>,
    pub(super) statement: PreparedStatement,
    pub(super) store: String,
}

impl Ask {
    /// Tells risen revisions for ever; also the first one after a time without answers.
    pub(super) async fn follow(self, every: Duration, hints: watch::Sender<u64>) {
        let mut is_known = true;
        // How long an answer takes isn't added to the pause.
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.revision().await {
                Ok(revision) => {
                    let revision = number(revision.unwrap_or_default());
                    hints.send_if_modified(|hint| {
                        let news = revision > *hint || !is_known;
                        *hint = revision.max(*hint);
                        news
                    });
                    is_known = true;
                }
                Err(error) => {
                    tracing::debug!(%error, "the state store doesn't tell its revision");
                    is_known = false;
                }
            }
        }
    }

    async fn revision(&self) -> Result<Option<i64>, AnyError> {
        let answer = self.session.execute_unpaged(&self.statement, (&self.store,)).await?;
        let row = answer.into_rows_result()?;
        Ok(row.maybe_first_row::<(Option<i64>, Option<String>)>()?.and_then(|(revision, _)| revision))
    }
}
