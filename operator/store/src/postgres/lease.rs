use std::time::Duration;

use super::PostgresStore;
use crate::lease::millis;
use crate::shared::number;
use crate::{Candidate, Held, StoreError};

/// Gives a row if who asks holds the lease then.
const HOLD: &str = "
INSERT INTO leases (job, holder, url, term, until)
VALUES ($1, $2, $3, 1, clock_timestamp() + $4::bigint * interval '1 millisecond')
ON CONFLICT (job) DO UPDATE SET
    term = CASE leases.holder WHEN excluded.holder THEN leases.term ELSE leases.term + 1 END,
    holder = excluded.holder, url = excluded.url, until = excluded.until
WHERE leases.holder = excluded.holder OR leases.until < clock_timestamp()
RETURNING term";
const HOLDER: &str = "SELECT url, term FROM leases WHERE job = $1";
const RELEASE: &str = "UPDATE leases SET until = '-infinity' WHERE job = $1 AND holder = $2";

impl PostgresStore {
    pub(super) async fn hold_lease(
        &self,
        job: &str,
        candidate: &Candidate,
        time: Duration,
    ) -> Result<Held, StoreError> {
        self.life.believed()?;
        let Candidate { id, url } = candidate;
        self.with(async |connection| {
            let hold = sqlx::query_as(HOLD).bind(job).bind(id).bind(url).bind(millis(time));
            let taken: Option<(i64,)> = hold.fetch_optional(&mut *connection).await?;
            if let Some((term,)) = taken {
                return Ok(Held { is_me: true, url: url.clone(), term: number(term) });
            }
            let holder = sqlx::query_as(HOLDER).bind(job);
            let (url, term): (String, i64) = holder.fetch_one(connection).await?;
            Ok(Held { is_me: false, url, term: number(term) })
        })
        .await
    }

    pub(super) async fn release_lease(&self, job: &str, id: &str) -> Result<(), StoreError> {
        let release = sqlx::query(RELEASE).bind(job).bind(id);
        self.with(async |connection| Ok(release.execute(connection).await.map(drop)?)).await
    }
}
