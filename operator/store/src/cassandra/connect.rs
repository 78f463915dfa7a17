use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::{Consistency, SerialConsistency};

use super::statements;
use crate::StoreError;
use crate::shared::{SharedSettings, StoreTls, place};

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
    let (name, password) = target.user.clone().unwrap_or_default();
    let name = settings.username.clone().unwrap_or(name);
    if !name.is_empty() {
        builder = builder.user(name, settings.password.clone().unwrap_or(password));
    }
    if target.tls {
        builder = builder.tls_context(Some(Arc::new(tls(&settings.tls)?)));
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
    let found = session.query_unpaged(statements::KEYSPACE_EXISTS, (keyspace,)).await?.into_rows_result()?;
    if found.rows_num() == 0 {
        let copies = session.get_cluster_state().get_nodes_info().len().clamp(1, COPIES);
        if copies < COPIES {
            tracing::warn!(
                "the keyspace {keyspace} is made with {copies} copies of each object; one lost node may lose it"
            );
        }
        session.query_unpaged(statements::make_keyspace(keyspace, copies), ()).await?;
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

fn tls(settings: &StoreTls) -> Result<rustls::ClientConfig, StoreError> {
    let wrong = |what: &str, error: &dyn std::fmt::Display| {
        StoreError::Misconfigured(format!("setting store.tls.{what}: {error}"))
    };
    let mut trusted = RootCertStore::empty();
    match settings.read_authorities()? {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| wrong("authorities", &error))?;
                trusted.add(certificate).map_err(|error| wrong("authorities", &error))?;
            }
        }
        None => {
            trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong("authorities", &error))?
        .with_root_certificates(trusted);
    let Some((certificate, key)) = settings.read_certificate()? else {
        return Ok(builder.with_no_client_auth());
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&certificate)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong("certificate", &error))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| wrong("key", &error))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| wrong("certificate", &error))
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
