//! What has to happen in one step in Redis. A script runs alone: nothing is between its reads and its writes.
//!
//! `KEYS` are always [`super::names::Names::all`]: head, objects, written, deleted.

/// `ARGV`: the epoch, the revision before and after, the fields of the head for what was seen and what was forgotten, what
/// was seen (empty: no news), how many deletions to remember, the channel, the field and number of a new fence (empty: none),
/// how many objects are written, then key, revision and record of each, then key and revision of each that is deleted.
///
/// 1: done. 0: the store is at another revision, or another store is here.
pub(super) const COMMIT: &str = r"
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[1], 'revision') ~= ARGV[2] then return 0 end
local at = 12
for _ = 1, tonumber(ARGV[11]) do
    redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 2])
    redis.call('ZADD', KEYS[3], ARGV[at + 1], ARGV[at])
    redis.call('ZREM', KEYS[4], ARGV[at])
    at = at + 3
end
while ARGV[at] do
    redis.call('HDEL', KEYS[2], ARGV[at])
    redis.call('ZREM', KEYS[3], ARGV[at])
    redis.call('ZADD', KEYS[4], ARGV[at + 1], ARGV[at])
    at = at + 2
end
local surplus = redis.call('ZCARD', KEYS[4]) - tonumber(ARGV[7])
if surplus > 0 then
    local oldest = redis.call('ZPOPMIN', KEYS[4], surplus)
    redis.call('HSET', KEYS[1], ARGV[5], oldest[#oldest])
end
redis.call('HSET', KEYS[1], 'revision', ARGV[3])
if ARGV[10] ~= '' then redis.call('HSET', KEYS[1], ARGV[9], ARGV[10]) end
if ARGV[6] ~= '' then redis.call('HSET', KEYS[1], ARGV[4], ARGV[6]) end
redis.call('PUBLISH', ARGV[8], ARGV[3])
return 1
";

/// `ARGV`: the revision after which changes are wanted, as the start of a range; the fields of the head for what was seen
/// and what was forgotten.
///
/// The head (epoch, revision, seen, forgotten), the keys written, their records, the keys deleted.
pub(super) const CHANGES: &str = r"
local head = redis.call('HMGET', KEYS[1], 'epoch', 'revision', ARGV[2], ARGV[3])
local keys = redis.call('ZRANGEBYSCORE', KEYS[3], ARGV[1], '+inf')
local records = {}
for at, key in ipairs(keys) do records[at] = redis.call('HGET', KEYS[2], key) end
return {head, keys, records, redis.call('ZRANGEBYSCORE', KEYS[4], ARGV[1], '+inf')}
";

/// `ARGV`: schema version, epoch, and what was seen of an empty store. Makes the store unless there is one, and gives schema
/// version, epoch and revision.
pub(super) const OPEN: &str = r"
if redis.call('HEXISTS', KEYS[1], 'epoch') + redis.call('HEXISTS', KEYS[1], 'revision') == 0 then
    redis.call('HSET', KEYS[1], 'schema', ARGV[1], 'epoch', ARGV[2], 'revision', '0', 'seen:store', ARGV[3])
end
return redis.call('HMGET', KEYS[1], 'schema', 'epoch', 'revision')
";

/// Readers read all then: what they have may not be what the store had under the same number.
///
/// `ARGV`: epoch and revision before, the epoch after, what was seen then, the channel. 1: done. 0: it has changed meanwhile.
pub(super) const RENEW: &str = r"
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[1], 'revision') ~= ARGV[2] then return 0 end
local next = ARGV[2] + 1
redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'seen:store', ARGV[4], 'revision', next)
redis.call('HSET', KEYS[1], 'forgotten:store', next, 'forgotten:kubernetes', next)
redis.call('PUBLISH', ARGV[5], next)
return 1
";
