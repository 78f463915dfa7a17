use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;

use super::RedisStore;
use crate::lease::millis;
use crate::{Candidate, Held, StoreError};

/// `KEYS`: the lease, which is gone when its time is over, and the head. `ARGV`: who asks, where it is, for how many
/// milliseconds, the field of the head for the number of the last holder.
///
/// Whether who asked holds it, where the holder is, and its number; -1 if there is no store.
static HOLD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
if redis.call('HEXISTS', KEYS[2], 'epoch') == 0 then return {-1, '', 0} end
local holder = redis.call('HMGET', KEYS[1], 'id', 'url', 'term')
if holder[1] and holder[1] ~= ARGV[1] then return {0, holder[2], tonumber(holder[3])} end
local term = tonumber(holder[3] or redis.call('HINCRBY', KEYS[2], ARGV[4], 1))
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'url', ARGV[2], 'term', term)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {1, ARGV[2], term}
",
    )
});

/// `KEYS`: the lease. `ARGV`: who gives it back.
static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('HGET', KEYS[1], 'id') == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0",
    )
});

impl RedisStore {
    pub(super) async fn hold_lease(
        &self,
        job: &str,
        candidate: &Candidate,
        time: Duration,
    ) -> Result<Held, StoreError> {
        self.life.believed()?;
        let mut call = HOLD.key(self.names.lease(job));
        call.key(self.names.head());
        call.arg(&candidate.id).arg(&candidate.url).arg(millis(time)).arg(format!("term:{job}"));
        let (is_me, url, term): (i64, String, u64) =
            self.connection.with(async |redis| call.invoke_async(redis).await).await?;
        if is_me < 0 {
            return Err(self.life.replaced());
        }
        Ok(Held { is_me: is_me == 1, url, term })
    }

    pub(super) async fn release_lease(&self, job: &str, id: &str) -> Result<(), StoreError> {
        let mut call = RELEASE.key(self.names.lease(job));
        call.arg(id);
        self.connection.with(async |redis| call.invoke_async::<i64>(redis).await).await.map(drop)
    }
}
