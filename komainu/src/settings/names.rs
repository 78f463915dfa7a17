//! By which names a setting may be written: ours, and Otoroshi's, of which each is one of ours or is refused with the reason.

/// A name that is no setting here.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    #[error("{name} is no setting{}; see docs/settings.md for the names", meant(nearest))]
    Unknown { name: String, nearest: Option<String> },
    #[error("{name} is not supported: {reason}")]
    Refused { name: String, reason: &'static str },
}

fn meant(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!(": did you mean {name}?")).unwrap_or_default()
}

enum Meaning {
    /// The key of ours that it is.
    Is(&'static str),
    Refused(&'static str),
}
use Meaning::{Is, Refused};

const ALWAYS: &str = "it is always so here; remove it";
const BACKUP: &str =
    "a worker keeps its state in cluster.worker.dbpath and starts from it without a leader; leave it out";
const RELAY: &str =
    "requests aren't forwarded between nodes; give targets a predicate of the location instead";
const PROXY: &str = "a proxy between worker and leader is not supported yet";
const STATE_CACHE: &str = "a leader answers as soon as it has planned a state; remove it";

/// Otoroshi's settings of the cluster that aren't called as ours, or that are also variables of the environment: key below
/// `cluster`, name of the variable behind `CLUSTER_`, meaning. A key that ends with a dot stands for all below it.
const CLUSTER: [(&str, &str, Meaning); 41] = [
    ("mode", "MODE", Is("cluster.mode")),
    ("compression", "COMPRESSION", Is("cluster.compression")),
    ("retryDelay", "RETRY_DELAY", Is("cluster.retryDelay")),
    ("retryFactor", "RETRY_FACTOR", Is("cluster.retryFactor")),
    (
        "selfAddress",
        "SELF_ADDRESS",
        Refused("a leader shows the address that a worker calls from; remove it"),
    ),
    ("autoUpdateState", "AUTO_UPDATE_STATE", Refused(ALWAYS)),
    ("streamed", "STREAMED", Refused(ALWAYS)),
    ("backup.", "BACKUP_", Refused(BACKUP)),
    ("relay.", "RELAY_", Refused(RELAY)),
    ("mtls.enabled", "MTLS_ENABLED", Is("cluster.mtls.enabled")),
    ("mtls.loose", "MTLS_LOOSE", Is("cluster.mtls.loose")),
    ("mtls.trustAll", "MTLS_TRUST_ALL", Is("cluster.mtls.trustAll")),
    ("mtls.certs", "MTLS_CERTS", Is("cluster.mtls.certs")),
    ("mtls.trustedCerts", "MTLS_TRUSTED_CERTS", Is("cluster.mtls.trustedCerts")),
    ("proxy.", "PROXY_", Refused(PROXY)),
    ("leader.name", "LEADER_NAME", Is("cluster.leader.name")),
    ("leader.urls", "LEADER_URLS", Is("cluster.leader.urls")),
    ("leader.urlsStr", "", Is("cluster.leader.urls")),
    ("leader.url", "LEADER_URL", Is("cluster.leader.urls")),
    ("leader.host", "LEADER_HOST", Is("cluster.leader.host")),
    ("leader.clientId", "LEADER_CLIENT_ID", Is("cluster.leader.clientId")),
    ("leader.clientSecret", "LEADER_CLIENT_SECRET", Is("cluster.leader.clientSecret")),
    (
        "leader.groupingBy",
        "LEADER_GROUP_BY",
        Refused("the state isn't read from the store in groups; remove it"),
    ),
    ("leader.cacheStateFor", "LEADER_CACHE_STATE_FOR", Is("cluster.leader.cacheStateFor")),
    (
        "leader.stateDumpPath",
        "LEADER_DUMP_PATH",
        Refused("the state is dumped by GET /api/cluster/state; remove it"),
    ),
    ("worker.name", "WORKER_NAME", Is("cluster.worker.name")),
    ("worker.retries", "WORKER_RETRIES", Is("cluster.worker.retries")),
    ("worker.timeout", "WORKER_TIMEOUT", Is("cluster.worker.timeout")),
    (
        "worker.dataStaleAfter",
        "WORKER_DATA_STALE_AFTER",
        Refused("an older state is told from a newer one by its as-of, not by clocks; remove it"),
    ),
    ("worker.dbpath", "WORKER_DB_PATH", Is("cluster.worker.dbpath")),
    ("worker.tenants", "WORKER_TENANTS", Is("cluster.worker.selector.tenants")),
    ("worker.tenantsStr", "", Is("cluster.worker.selector.tenants")),
    (
        "worker.swapStrategy",
        "WORKER_SWAP_STRATEGY",
        Refused("a state takes the place of another at once, as a whole; remove it"),
    ),
    ("worker.modern", "WORKER_STORE_MODERN", Refused(ALWAYS)),
    (
        "worker.useWs",
        "WORKER_USE_WS",
        Refused("changes arrive at once by long polls over plain HTTP; remove it"),
    ),
    ("worker.state.retries", "WORKER_STATE_RETRIES", Is("cluster.worker.state.retries")),
    ("worker.state.pollEvery", "WORKER_POLL_EVERY", Is("cluster.worker.state.pollEvery")),
    ("worker.state.timeout", "WORKER_POLL_TIMEOUT", Is("cluster.worker.state.timeout")),
    ("worker.quotas.pushEvery", "WORKER_PUSH_EVERY", Is("cluster.worker.quotas.pushEvery")),
    ("worker.quotas.timeout", "WORKER_PUSH_TIMEOUT", Is("cluster.worker.quotas.timeout")),
    ("worker.quotas.retries", "WORKER_QUOTAS_RETRIES", Is("cluster.worker.quotas.retries")),
];

/// Keys of [`CLUSTER`] that are lists: a part of one is the same part of ours.
const LISTS: [&str; 4] = ["mtls.certs", "mtls.trustedCerts", "leader.urls", "worker.tenants"];

/// What waits at the start, below `boot`, with the names behind `OTOROSHI_BOOT_`.
const BOOT: [(&str, &str, Meaning); 6] = [
    ("globalWait", "GLOBAL_WAIT", Refused(ALWAYS)),
    (
        "globalWaitTimeout",
        "GLOBAL_WAIT_TIMEOUT",
        Refused("each thing that is waited for has a time of its own; remove it"),
    ),
    ("waitForFirstClusterFetch", "WAIT_FOR_FIRST_CLUSTER_FETCH", Refused(ALWAYS)),
    (
        "waitForFirstClusterFetchTimeout",
        "WAIT_FOR_FIRST_CLUSTER_FETCH_TIMEOUT",
        Is("cluster.worker.bootWait"),
    ),
    ("waitForFirstClusterStateCache", "WAIT_FOR_FIRST_CLUSTER_STATE_CACHE", Refused(STATE_CACHE)),
    (
        "waitForFirstClusterStateCacheTimeout",
        "WAIT_FOR_FIRST_CLUSTER_STATE_CACHE_TIMEOUT",
        Refused(STATE_CACHE),
    ),
];

/// Otoroshi's key for a variable, without its prefix.
pub(super) fn cluster_key(variable: &str) -> Option<String> {
    key_in(&CLUSTER, variable).map(|key| format!("cluster.{key}"))
}

/// See [`BOOT`].
pub(super) fn boot_key(variable: &str) -> Option<String> {
    key_in(&BOOT, variable).map(|key| format!("boot.{key}"))
}

fn key_in(table: &[(&str, &str, Meaning)], variable: &str) -> Option<String> {
    let found = table.iter().find(|(_, name, _)| !name.is_empty() && *name == variable);
    let below = || table.iter().find(|(_, name, _)| name.ends_with('_') && variable.starts_with(name));
    let Some((key, name, _)) = found.or_else(below) else {
        let (list, position) = position(variable, '_')?;
        let is_list = |(key, name, _): &&(&str, &str, Meaning)| *name == list && LISTS.contains(key);
        return table.iter().find(is_list).map(|(key, ..)| format!("{key}.{position}"));
    };
    Some(if name.ends_with('_') {
        format!("{key}{}", &variable.get(name.len()..)?.to_lowercase())
    } else {
        (*key).to_owned()
    })
}

/// The key of ours that a written key means, and its rank among several names of one setting: a higher one wins.
pub(super) fn resolve(key: &str, is_leader: bool, known: &[String]) -> Result<(String, u8), NameError> {
    let key = key.strip_prefix("otoroshi.").unwrap_or(key);
    if let Some(port) = port_of(key, is_leader)? {
        return Ok((port.to_owned(), 0));
    }
    let rank = match key {
        "cluster.leader.url" => 2,
        "cluster.leader.urlsStr" => 1,
        _ => 0,
    };
    let meaning = meaning(&CLUSTER, key, "cluster.").or_else(|| meaning(&BOOT, key, "boot."));
    match meaning {
        Some(Is(key)) => Ok(((*key).to_owned(), rank)),
        Some(Refused(reason)) => Err(NameError::Refused { name: key.to_owned(), reason }),
        None => match list_part(key) {
            Some(part) => Ok((part, rank)),
            None if is_known(key, known) => Ok((key.to_owned(), rank)),
            None => Err(unknown(key, known)),
        },
    }
}

/// `cluster.worker.tenants.1` is `cluster.worker.selector.tenants.1`.
fn list_part(key: &str) -> Option<String> {
    let (list, position) = position(key, '.')?;
    if !LISTS.contains(&list.strip_prefix("cluster.")?) {
        return None;
    }
    match meaning(&CLUSTER, list, "cluster.")? {
        Is(key) => Some(format!("{key}.{position}")),
        Refused(_) => None,
    }
}

/// What is before a position in a list, and that position.
fn position(name: &str, separator: char) -> Option<(&str, usize)> {
    let (list, position) = name.rsplit_once(separator)?;
    Some((list, position.parse().ok()?))
}

fn meaning<'t>(table: &'t [(&str, &str, Meaning)], key: &str, prefix: &str) -> Option<&'t Meaning> {
    let rest = key.strip_prefix(prefix)?;
    let exact = table.iter().find(|(name, ..)| *name == rest);
    let below = || table.iter().find(|(name, ..)| name.ends_with('.') && rest.starts_with(name));
    exact.or_else(below).map(|(.., meaning)| meaning)
}

/// `http.port` and `https.port`, as Otoroshi's run examples have them: on a leader its one port, elsewhere the port of
/// the first listener.
fn port_of(key: &str, is_leader: bool) -> Result<Option<&'static str>, NameError> {
    match key {
        "http.port" if is_leader => Ok(Some("admin.port")),
        "http.port" => Ok(Some("listeners.0.port")),
        "https.port" => {
            let reason = "give a listener the protocol HTTPS: listeners.1.protocol=HTTPS, listeners.1.port=…";
            Err(NameError::Refused { name: key.to_owned(), reason })
        }
        _ => Ok(None),
    }
}

/// A setting, or a part of one that is a list.
fn is_known(key: &str, known: &[String]) -> bool {
    let is_part = |known: &String| {
        key.strip_prefix(known.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    known.iter().any(is_part)
}

/// For a name that is none, with the nearest of `names`.
pub(super) fn unknown(name: &str, names: &[String]) -> NameError {
    /// Below that two names have nothing in common.
    const ALIKE: f64 = 0.8;
    let alike = names.iter().map(|known| (strsim::jaro_winkler(name, known), known));
    let nearest = alike.filter(|(score, _)| *score >= ALIKE).max_by(|(a, _), (b, _)| a.total_cmp(b));
    NameError::Unknown { name: name.to_owned(), nearest: nearest.map(|(_, known)| known.clone()) }
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
