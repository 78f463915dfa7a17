use std::time::Duration;

use scylla::statement::Consistency;
use scylla::statement::unprepared::Statement;

use super::CassandraStore;
use crate::shared::{column, number};
use crate::{Candidate, Held, StoreError};

/// A lease is a partition of its own: its row is gone when its time is over, and the static revision stays as the number of the
/// last holder.
const LOOK: &str = "SELECT name, value, revision FROM state WHERE store = ?";
const TAKE: &str = "BEGIN BATCH
UPDATE state SET revision = ? WHERE store = ? IF revision = ?;
INSERT INTO state (store, section, name, value) VALUES (?, 'lease', ?, ?) USING TTL ?;
APPLY BATCH";
const RENEW: &str =
    "UPDATE state USING TTL ? SET value = ? WHERE store = ? AND section = 'lease' AND name = ? IF EXISTS";
const RELEASE: &str = "DELETE FROM state WHERE store = ? AND section = 'lease' AND name = ? IF EXISTS";

type Row = (Option<String>, Option<String>, Option<i64>);

impl CassandraStore {
    /// No prefix has a space, so no other partition has this name.
    fn lease(&self, job: &str) -> String {
        format!("{} {job}", self.store)
    }

    /// The holder's id and where it is, and the number of the last holder.
    async fn look(&self, lease: &str) -> Result<(Option<(String, String)>, Option<i64>), StoreError> {
        let mut look = Statement::new(LOOK);
        look.set_consistency(Consistency::Serial);
        let answer = self.session.query_unpaged(look, (lease,)).await;
        let rows = answer.map_err(|error| self.life.unavailable(error))?.into_rows_result();
        let rows = rows.map_err(|error| self.life.unavailable(error))?;
        let row = rows.maybe_first_row::<Row>().map_err(|error| self.life.unavailable(error))?;
        let (id, url, term) = row.unwrap_or_default();
        Ok((id.zip(url), term))
    }

    pub(super) async fn hold_lease(
        &self,
        job: &str,
        candidate: &Candidate,
        time: Duration,
    ) -> Result<Held, StoreError> {
        self.life.believed()?;
        let (lease, Candidate { id, url }) = (self.lease(job), candidate);
        // Its clock has seconds only.
        let seconds = i32::try_from(time.as_millis().div_ceil(1_000)).unwrap_or(i32::MAX);
        let (holder, term) = self.look(&lease).await?;
        let is_done = match &holder {
            Some((holder, url)) if holder != id => {
                let url = url.clone();
                return Ok(Held { is_me: false, url, term: number(term.unwrap_or_default()) });
            }
            Some(_) => {
                let answer = self.session.query_unpaged(RENEW, (seconds, url, &lease, id)).await;
                self.is_applied(answer)?
            }
            None => {
                let next = column(number(term.unwrap_or_default()) + 1);
                let values = (next, &lease, term, &lease, id, url, seconds);
                self.is_applied(self.session.query_unpaged(TAKE, values).await)?
            }
        };
        // Who was quicker, or what is by now.
        let (holder, term) = self.look(&lease).await?;
        let (holder, url) = holder.unwrap_or_default();
        Ok(Held { is_me: is_done && holder == *id, url, term: number(term.unwrap_or_default()) })
    }

    pub(super) async fn release_lease(&self, job: &str, id: &str) -> Result<(), StoreError> {
        let answer = self.session.query_unpaged(RELEASE, (self.lease(job), id)).await;
        self.is_applied(answer).map(drop)
    }
}
