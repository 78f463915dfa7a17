//! What is said to Cassandra. All objects of a store are in one partition, since only what is there can change in one step.

use scylla::client::session::Session;
use scylla::errors::PrepareError;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use super::usage::UsageStatements;

/// The tables, and what makes them.
pub(super) const TABLES: [(&str, &str); 2] = [("state", MAKE_STATE), ("usage", MAKE_USAGE)];

/// Two that make a table at the same time may make two of one name, of which one loses what is written into it; with the same
/// id it is one.
pub(super) fn make_table(keyspace: &str, table: &str, make: &str) -> String {
    let id = Uuid::new_v5(&Uuid::NAMESPACE_DNS, format!("{table}.{keyspace}.komainu.dev").as_bytes());
    format!("{make} WITH ID = {id}")
}

/// `name` is a key in the sections of objects; in those of what was written and deleted it is a revision, and `value` the key.
const MAKE_STATE: &str = "
CREATE TABLE IF NOT EXISTS state (
    store text, section text, name text, value text,
    schema_version int static, epoch text static, revision bigint static,
    seen map<text, text> static, forgotten map<text, bigint> static, deletions map<text, bigint> static,
    fences map<text, bigint> static,
    PRIMARY KEY (store, section, name)
)";

/// A partition per window, so that a window is forgotten at once.
const MAKE_USAGE: &str = "
CREATE TABLE IF NOT EXISTS usage (
    store text, window text, route text, consumer text, worker text, value text,
    PRIMARY KEY ((store, window), route, consumer, worker)
)";

pub(super) const TABLE_EXISTS: &str =
    "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?";
pub(super) const REPLICATION: &str =
    "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";

pub(super) fn make_keyspace(name: &str, copies: usize) -> String {
    format!(
        "CREATE KEYSPACE IF NOT EXISTS \"{name}\" WITH replication = \
         {{'class': 'NetworkTopologyStrategy', 'replication_factor': {copies}}}"
    )
}

const MAKE_HEAD: &str = "INSERT INTO state (store, section, name, value, schema_version, epoch, revision, seen) \
     VALUES (?, '', '', 'head', ?, ?, 0, ?) IF NOT EXISTS";
/// What is static is read with rows that are there, and a column of them: without one all that was deleted would be walked through.
const HEAD: &str = "SELECT name, value, schema_version, epoch, revision, seen, forgotten, deletions, fences FROM state \
     WHERE store = ? AND section = ''";
const SETTLE: &str = "INSERT INTO state (store, section, name, value) VALUES (?, '', ?, ?) USING TIMESTAMP ?";
const ALL: &str = "SELECT name, value FROM state WHERE store = ? AND section = ?";
const SOME: &str = "SELECT name, value FROM state WHERE store = ? AND section = ? AND name IN ?";
const AFTER: &str = "SELECT name, value FROM state WHERE store = ? AND section = ? AND name > ?";
const OLDEST: &str = "SELECT name, value FROM state WHERE store = ? AND section = ? AND name > ? LIMIT ?";
const RAISE: &str = "UPDATE state SET revision = ?, seen[?] = ?, forgotten[?] = ?, deletions[?] = ?, fences[?] = ? \
     WHERE store = ? IF revision = ? AND epoch = ?";
const RENEW: &str = "UPDATE state SET epoch = ?, seen[?] = ?, forgotten[?] = ?, forgotten[?] = ?, revision = ? WHERE store = ? IF revision = ? AND epoch = ?";
const PUT: &str = "INSERT INTO state (store, section, name, value) VALUES (?, ?, ?, ?)";
const REMOVE: &str = "DELETE FROM state WHERE store = ? AND section = ? AND name = ?";

pub(super) struct Statements {
    pub(super) make_head: PreparedStatement,
    /// Sees also what is only about to be written everywhere, and brings it to its end: after it, every majority has all up to
    /// the revision that it gives.
    pub(super) head: PreparedStatement,
    /// The same as a majority has it now.
    pub(super) head_now: PreparedStatement,
    /// That every majority has all up to a revision.
    pub(super) settle: PreparedStatement,
    pub(super) all: PreparedStatement,
    pub(super) some: PreparedStatement,
    pub(super) after: PreparedStatement,
    pub(super) oldest: PreparedStatement,
    /// Together with those below in one batch: all of it happens if the revision is still the expected one.
    pub(super) raise: PreparedStatement,
    pub(super) put: PreparedStatement,
    pub(super) remove: PreparedStatement,
    pub(super) renew: PreparedStatement,
    pub(super) usage: UsageStatements,
}

impl Statements {
    pub(super) async fn prepare(session: &Session) -> Result<Self, PrepareError> {
        let mut head = session.prepare(HEAD).await?;
        head.set_consistency(Consistency::Serial);
        let mut all = session.prepare(ALL).await?;
        all.set_page_size(1_000);
        let mut after = session.prepare(AFTER).await?;
        after.set_page_size(1_000);
        Ok(Self {
            make_head: session.prepare(MAKE_HEAD).await?,
            head,
            head_now: session.prepare(HEAD).await?,
            settle: session.prepare(SETTLE).await?,
            all,
            some: session.prepare(SOME).await?,
            after,
            oldest: session.prepare(OLDEST).await?,
            raise: session.prepare(RAISE).await?,
            put: session.prepare(PUT).await?,
            remove: session.prepare(REMOVE).await?,
            renew: session.prepare(RENEW).await?,
            usage: UsageStatements::prepare(session).await?,
        })
    }
}
