//! What is said to PostgreSQL. Tables are found by the search path, which each connection sets to the store's schema.

/// Whether the store was made, and not by a version that had fewer tables.
pub(super) const EXISTS: &str = "SELECT to_regclass('head') IS NOT NULL AND to_regclass('usage') IS NOT NULL";

/// Makes the store. Behind `$1` two that begin at the same time wait for each other.
pub(super) const LOCK_MAKING: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";

pub(super) const SCHEMA: &str =
    "SELECT quote_ident($1), EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";

/// The schema's name is quoted by who fills it in.
pub(super) fn make_schema(quoted: &str) -> String {
    format!("CREATE SCHEMA IF NOT EXISTS {quoted}")
}

pub(super) const MAKE_TABLES: &str = "
CREATE TABLE IF NOT EXISTS head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    schema_version bigint NOT NULL,
    epoch text NOT NULL,
    revision bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS sources (owner text PRIMARY KEY, as_of text, forgotten bigint NOT NULL DEFAULT 0,
    fence bigint NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS objects (
    owner text, key text, generation bigint NOT NULL, revision bigint NOT NULL, labels text NOT NULL, spec text NOT NULL,
    PRIMARY KEY (owner, key)
);
CREATE INDEX IF NOT EXISTS objects_by_revision ON objects (owner, revision);
CREATE TABLE IF NOT EXISTS deletions (owner text, key text, revision bigint NOT NULL, PRIMARY KEY (owner, key));
CREATE TABLE IF NOT EXISTS leases (
    job text PRIMARY KEY, holder text NOT NULL, url text NOT NULL, term bigint NOT NULL, until timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS deletions_by_revision ON deletions (owner, revision);
CREATE TABLE IF NOT EXISTS usage (
    \"window\" text COLLATE \"C\", route text COLLATE \"C\", consumer text COLLATE \"C\", worker text COLLATE \"C\",
    progress bigint NOT NULL, counts text NOT NULL, PRIMARY KEY (\"window\", route, consumer, worker)
);
";

pub(super) const FILL_HEAD: &str =
    "INSERT INTO head (schema_version, epoch, revision) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING";
pub(super) const FILL_SOURCE: &str =
    "INSERT INTO sources (owner, as_of) VALUES ($1, $2) ON CONFLICT DO NOTHING";
pub(super) const IDENTITY: &str = "SELECT schema_version, epoch, revision FROM head";

/// Writers come one after the other: the next one waits here.
pub(super) const LOCK: &str = "SELECT FROM head FOR UPDATE";
pub(super) const RENEW: &str = "UPDATE head SET epoch = $1";
/// Readers read all then: what they have may not be what the store had under the same number.
pub(super) const FORGET_ALL: &str = "UPDATE sources SET forgotten = $1";

/// One statement sees one instant. The first line is the head: epoch as key, forgotten as generation, revision, the fence as
/// labels, and what was seen as spec.
macro_rules! lines {
    ($rest:literal) => {
        concat!(
            "SELECT 0, epoch, coalesce(forgotten, 0), revision, fence::text, as_of
             FROM head LEFT JOIN sources ON owner = $1 ",
            $rest,
            " ORDER BY 1, 4"
        )
    };
}

/// The head and all objects of an owner.
pub(super) const LIST: &str =
    lines!("UNION ALL SELECT 1, key, generation, revision, labels, spec FROM objects WHERE owner = $1");
/// The head and the objects that have one of the keys.
pub(super) const SOME: &str = lines!(
    "UNION ALL SELECT 1, key, generation, revision, labels, spec FROM objects WHERE owner = $1 AND key = ANY($2)"
);
/// The head, and what was written (1) and deleted (2) after a revision.
pub(super) const CHANGES: &str = lines!(
    "UNION ALL SELECT 1, key, generation, revision, labels, spec FROM objects WHERE owner = $1 AND revision > $2
     UNION ALL SELECT 2, key, 0, revision, NULL, NULL FROM deletions WHERE owner = $1 AND revision > $2"
);

pub(super) const WRITE: &str = "
WITH revived AS (DELETE FROM deletions WHERE owner = $1 AND key = ANY($2))
INSERT INTO objects (owner, key, generation, revision, labels, spec)
SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])
ON CONFLICT (owner, key) DO UPDATE SET
    generation = excluded.generation, revision = excluded.revision, labels = excluded.labels, spec = excluded.spec";

pub(super) const DELETE: &str = "
WITH gone AS (DELETE FROM objects WHERE owner = $1 AND key = ANY($2))
INSERT INTO deletions (owner, key, revision) SELECT $1, * FROM unnest($2::text[], $3::bigint[])
ON CONFLICT (owner, key) DO UPDATE SET revision = excluded.revision";

/// Forgets the oldest deletions beyond `$2`, and until when.
pub(super) const FORGET: &str = "
WITH old AS (
    DELETE FROM deletions WHERE owner = $1 AND revision IN
        (SELECT revision FROM deletions WHERE owner = $1 ORDER BY revision DESC OFFSET $2)
    RETURNING revision
)
INSERT INTO sources (owner, forgotten) SELECT $1, max(revision) FROM old HAVING max(revision) IS NOT NULL
ON CONFLICT (owner) DO UPDATE SET forgotten = excluded.forgotten";

pub(super) const SEEN: &str = "
INSERT INTO sources (owner, as_of) VALUES ($1, $2) ON CONFLICT (owner) DO UPDATE SET as_of = excluded.as_of";

pub(super) const FENCE: &str = "
INSERT INTO sources (owner, fence) VALUES ($1, $2) ON CONFLICT (owner) DO UPDATE SET fence = excluded.fence";

/// The new revision, and a hint of it for who listens, at the commit.
pub(super) const RAISE: &str =
    "WITH raised AS (UPDATE head SET revision = $1) SELECT pg_notify($2, $1::bigint::text)";

/// What each connection is: in the store's schema, never waiting for ever, and durable also where the server isn't by default.
/// A leader that hangs in a transaction would stop all others: the server ends it.
pub(super) const PREPARE: &str = "
SELECT set_config('search_path', quote_ident($1), false),
    set_config('statement_timeout', '20s', false),
    set_config('lock_timeout', '5s', false),
    set_config('idle_in_transaction_session_timeout', '5s', false),
    set_config('synchronous_commit', CASE current_setting('synchronous_commit')
        WHEN 'off' THEN 'on' WHEN 'local' THEN 'on' ELSE current_setting('synchronous_commit') END, false)";
