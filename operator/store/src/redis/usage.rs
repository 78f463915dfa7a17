use std::collections::BTreeMap;
use std::sync::LazyLock;

use operator_core::usage::{UsageKey, UsageRow};
use redis::Script;
use redis::aio::MultiplexedConnection;

use super::RedisStore;
use crate::StoreError;
use crate::usage::{counts, counts_text, merged, once, parts};

/// Rows that one script looks at: the server does nothing else meanwhile.
const ROWS: usize = 500;
/// Hashes that are read or removed in one question.
const ROUTES: usize = 50;

/// `KEYS`: the routes of a window, then of each row the hash of its route. `ARGV`: of each row its route, its field in the hash,
/// and what was counted, of which the first three numbers are those that progress is made of.
///
/// How many rows were further than what was there. What is damaged is written anew.
static RAISE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local function progress(counts)
    local requests, refused, admitted = string.match(counts, '^(%d+) (%d+) (%d+)')
    return requests and tonumber(requests) + tonumber(refused) + tonumber(admitted) or 0
end
local raised = 0
for row = 2, #KEYS do
    local at = (row - 2) * 3
    local kept = redis.call('HGET', KEYS[row], ARGV[at + 2])
    if not kept or progress(kept) < progress(ARGV[at + 3]) then
        redis.call('SADD', KEYS[1], ARGV[at + 1])
        redis.call('HSET', KEYS[row], ARGV[at + 2], ARGV[at + 3])
        raised = raised + 1
    end
end
return raised
",
    )
});

impl RedisStore {
    pub(super) async fn keep_usage(&self, rows: &[UsageRow]) -> Result<(), StoreError> {
        let rows = merged(rows);
        for (window, part) in parts(&rows, ROWS) {
            let mut call = RAISE.key(self.names.used(window));
            for row in part {
                call.key(self.names.usage(window, &row.of.route));
                call.arg(&row.of.route).arg(field(row)).arg(counts_text(&row.counts));
            }
            self.connection.with(async |redis| call.invoke_async::<i64>(redis).await).await?;
        }
        Ok(())
    }

    pub(super) async fn read_usage(
        &self,
        window: &str,
        routes: Option<&[String]>,
    ) -> Result<Vec<UsageRow>, StoreError> {
        let used: Vec<String>;
        let routes = match routes {
            Some(routes) => once(routes),
            None => {
                used = self.used_routes(window).await?;
                once(&used)
            }
        };
        let mut rows = Vec::new();
        for some in routes.chunks(ROUTES) {
            let read = async |redis: &mut MultiplexedConnection| {
                let mut pipe = redis::pipe();
                for route in some {
                    pipe.cmd("HGETALL").arg(self.names.usage(window, route));
                }
                pipe.query_async::<Vec<BTreeMap<String, String>>>(redis).await
            };
            for (route, hash) in some.iter().zip(self.connection.with(read).await?) {
                for (field, text) in hash {
                    rows.push(self.usage_row((window, route), &field, &text)?);
                }
            }
        }
        Ok(rows)
    }

    pub(super) async fn forget_usage(&self, window: &str) -> Result<(), StoreError> {
        let routes = self.used_routes(window).await?;
        for some in routes.chunks(ROUTES) {
            let remove = async |redis: &mut MultiplexedConnection| {
                let mut pipe = redis::pipe();
                // Together: a hash of a route that isn't among those of its window would be there for ever.
                pipe.atomic().cmd("UNLINK");
                for route in some {
                    pipe.arg(self.names.usage(window, route));
                }
                pipe.cmd("SREM").arg(self.names.used(window)).arg(some);
                pipe.query_async::<(i64, i64)>(redis).await
            };
            self.connection.with(remove).await?;
        }
        Ok(())
    }

    async fn used_routes(&self, window: &str) -> Result<Vec<String>, StoreError> {
        let mut ask = redis::cmd("SMEMBERS");
        ask.arg(self.names.used(window));
        self.connection.with(async |redis| ask.query_async(redis).await).await
    }

    fn usage_row(
        &self,
        (window, route): (&str, &str),
        field: &str,
        text: &str,
    ) -> Result<UsageRow, StoreError> {
        let unreadable = || self.life.corrupt(format!("what {field:?} has counted of {route} can't be read"));
        let (worker, consumer) = names(field).ok_or_else(unreadable)?;
        let of =
            UsageKey { window: window.to_owned(), route: route.to_owned(), consumer: consumer.to_owned() };
        Ok(UsageRow { of, worker: worker.to_owned(), counts: counts(text).ok_or_else(unreadable)? })
    }
}

/// Worker and consumer in one text. Both may have any sign in them, so the length of the first one is before it.
fn field(row: &UsageRow) -> String {
    format!("{} {}{}", row.worker.len(), row.worker, row.of.consumer)
}

fn names(field: &str) -> Option<(&str, &str)> {
    let (length, names) = field.split_once(' ')?;
    names.split_at_checked(length.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::row;

    #[test]
    fn a_field_has_two_names() {
        for (worker, consumer) in [("w", "a"), ("w", ""), ("", ""), ("2 w", "1 a"), ("wörker", "ä")] {
            assert_eq!(names(&field(&row("1", "r", consumer, worker, 1))), Some((worker, consumer)));
        }
        for damaged in ["", "w", "5 w", "x wa", "2 wö"] {
            assert_eq!(names(damaged), None, "{damaged:?}");
        }
    }
}
