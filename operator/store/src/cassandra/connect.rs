use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scylla::authentication::{
    AuthError, AuthenticatorProvider, AuthenticatorSession, PlainTextAuthenticator,
};
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::{Consistency, SerialConsistency};

use super::{statements, tls};
use crate::StoreError;
use crate::shared::{SharedSettings, place};

const CONNECT: Duration = Duration::from_secs(3);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// How many copies of each object a keyspace has that is made here, if there are as many nodes.
const COPIES: usize = 3;

/// What a URL says: `cassandra://user:password@host:port,host/keyspace?tls=true`.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    user: Option<(String, String)>,
    nodes: Vec<String>,
    keyspace: String,
    tls: bool,
}

impl Target {
    fn of(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("cassandra://")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, keyspace) = rest.split_once('/')?;
        let (user, nodes) = match authority.rsplit_once('@') {
            Some((user, nodes)) => (Some(user.split_once(':').unwrap_or((user, ""))), nodes),
            None => (None, authority),
        };
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let nodes: Vec<_> = nodes.split(',').filter(|node| !node.is_empty()).map(str::to_owned).collect();
        (is_name(keyspace) && !nodes.is_empty() && matches!(query, "" | "tls=true" | "tls=false")).then(
            || Self {
                user: user.map(|(name, password)| (name.to_owned(), password.to_owned())),
                nodes,
                keyspace: keyspace.to_owned(),
                tls: query == "tls=true",
            },
        )
    }
}

/// Who connects, with the password as it is then.
struct User {
    name: String,
    /// Of the URL; that of the settings counts for more.
    password: String,
    settings: SharedSettings,
}

impl User {
    /// `None`: nobody is named.
    fn of(settings: &SharedSettings, of_url: Option<(String, String)>) -> Result<Option<Self>, StoreError> {
        // What can't be read is said at once.
        settings.password()?;
        let (name, password) = of_url.unwrap_or_default();
        let name = settings.username.clone().unwrap_or(name);
        Ok((!name.is_empty()).then(|| Self { name, password, settings: settings.clone() }))
    }
}

#[async_trait]
impl AuthenticatorProvider for User {
    async fn start_authentication_session(
        &self,
        authenticator: &str,
    ) -> Result<(Option<Vec<u8>>, Box<dyn AuthenticatorSession>), AuthError> {
        let password = self.settings.password().map_err(|error| error.to_string())?;
        let password = password.unwrap_or_else(|| self.password.clone());
        let user = PlainTextAuthenticator::new(self.name.clone(), password);
        user.start_authentication_session(authenticator).await
    }
}

pub(super) async fn session(settings: &SharedSettings) -> Result<Session, StoreError> {
    let target = Target::of(&settings.url).ok_or_else(|| {
        StoreError::Misconfigured(
            "setting store.url: write cassandra://host:9042,host:9042/keyspace, and ?tls=true behind it for TLS"
                .to_owned(),
        )
    })?;
    let profile = ExecutionProfile::builder()
        .consistency(Consistency::Quorum)
        .serial_consistency(Some(SerialConsistency::Serial))
        .request_timeout(Some(ANSWER))
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(&target.nodes)
        .connection_timeout(CONNECT)
        .fetch_schema_metadata(false)
        .fetch_full_schema_metadata(false)
        .default_execution_profile_handle(profile.into_handle());
    if let Some(user) = User::of(settings, target.user)? {
        builder = builder.authenticator_provider(Arc::new(user));
    }
    if target.tls {
        builder = builder.tls_context(Some(Arc::new(tls::config(&settings.tls)?)));
    }
    builder.build().await.map_err(|error| unavailable(&place(&settings.url), &error))
}

pub(super) fn unavailable(place: &str, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unavailable { reason: format!("{place}: {error}") }
}

pub(super) type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Makes the keyspace and its tables if they aren't there, and goes there.
pub(super) async fn make(session: &Session, settings: &SharedSettings) -> Result<(), AnyError> {
    let target = Target::of(&settings.url).ok_or("no keyspace")?;
    let keyspace = &*target.keyspace;
    let found = session.query_unpaged(statements::REPLICATION, (keyspace,)).await?.into_rows_result()?;
    let copies = match found.maybe_first_row::<(HashMap<String, String>,)>()? {
        Some((replication,)) => copies_of(&replication),
        None => {
            let copies = session.get_cluster_state().get_nodes_info().len().clamp(1, COPIES);
            session.query_unpaged(statements::make_keyspace(keyspace, copies), ()).await?;
            copies
        }
    };
    if copies < COPIES {
        tracing::warn!(
            "the keyspace {keyspace} has {copies} of the {COPIES} copies of each object with which one node may be lost"
        );
    }
    session.use_keyspace(keyspace, true).await?;
    // A store of an earlier version has only some of them.
    for (table, make) in statements::TABLES {
        let found = session.query_unpaged(statements::TABLE_EXISTS, (keyspace, table)).await?;
        if found.into_rows_result()?.rows_num() == 0 {
            session.query_unpaged(statements::make_table(keyspace, table, make), ()).await?;
            session.await_schema_agreement().await?;
        }
    }
    Ok(())
}

/// In all data centres together, as a keyspace's settings say.
fn copies_of(replication: &HashMap<String, String>) -> usize {
    let factors = replication.iter().filter(|(name, _)| *name != "class");
    // Of transient replication it is all and those that come and go.
    factors.filter_map(|(_, factor)| factor.split('/').next()?.parse::<usize>().ok()).sum()
}

/// Says in the log what the server's settings take away from what the store promises.
pub(super) async fn warn_if_weak(session: &Session, place: &str) {
    let asked = session
        .query_unpaged("SELECT value FROM system_views.settings WHERE name = 'commitlog_sync'", ())
        .await;
    let rows = asked.ok().and_then(|answer| answer.into_rows_result().ok());
    match rows.as_ref().and_then(|rows| rows.maybe_first_row::<(Option<String>,)>().ok()) {
        Some(Some((Some(sync),))) if sync == "periodic" => tracing::warn!(
            "the state store {place} promises less: a crash of the machines of a majority loses writes of up to 10 seconds \
             that were acknowledged; set `commitlog_sync: group`"
        ),
        Some(Some(_)) => {}
        _ => tracing::info!("whether the state store {place} keeps what it acknowledges can't be seen"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_counted_in_all_data_centres() {
        let of = |settings: &[(&str, &str)]| {
            copies_of(
                &settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            )
        };
        assert_eq!(
            of(&[("class", "org.apache.cassandra.locator.SimpleStrategy"), ("replication_factor", "1")]),
            1
        );
        assert_eq!(of(&[("class", "NetworkTopologyStrategy"), ("east", "3"), ("west", "3/1")]), 6);
    }

    #[test]
    fn a_url_names_nodes_and_a_keyspace() {
        let target = Target::of("cassandra://me:p:@ss@one:9042,two/gateway?tls=true").unwrap();
        let user = Some(("me".to_owned(), "p:@ss".to_owned()));
        let nodes = vec!["one:9042".to_owned(), "two".to_owned()];
        assert_eq!(target, Target { user, nodes, keyspace: "gateway".to_owned(), tls: true });
        assert!(!Target::of("cassandra://one/gateway").unwrap().tls);
        for wrong in [
            "cassandra://one",
            "cassandra://one/",
            "cassandra:///gateway",
            "cassandra://one/a\"b",
            "cassandra://one/gateway?ssl=true",
            "scylla://one/gateway",
        ] {
            assert_eq!(Target::of(wrong), None, "{wrong}");
        }
    }
}
