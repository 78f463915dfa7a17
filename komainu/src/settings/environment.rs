//! Settings in the environment: `KOMAINU_` and the words of the key in capitals, or one of Otoroshi's names.

use super::names::{self, NameError};

const PREFIX: &str = "KOMAINU_";

/// Names that aren't settings: the file of settings, and what the project's own scripts use.
const OTHERS: [&str; 4] = ["KOMAINU_CONFIG", "KOMAINU_BIN", "KOMAINU_CACHE", "KOMAINU_FIGURES"];

/// The prefixes before Otoroshi's names of cluster settings. Variables of the first one may be of other programs.
const CLUSTER: [&str; 3] = ["CLUSTER_", "OTOROSHI_CLUSTER_", "KOMAINU_CLUSTER_"];

/// The key of the setting that a variable is meant for, of those that are known or are Otoroshi's; `Err` for one that is
/// certainly meant for us and is none. `None` if it isn't ours.
pub(super) fn key_of(name: &str, value: &str, known: &[String]) -> Option<Result<String, NameError>> {
    if let Some(key) = otoroshis_key(name) {
        return Some(Ok(key));
    }
    let Some(rest) = name.strip_prefix(PREFIX) else {
        return name.starts_with("OTOROSHI_CLUSTER_").then(|| Err(names::unknown(name, known)));
    };
    if OTHERS.contains(&name) || is_service_link(rest, value) {
        return None;
    }
    let exact = known.iter().find(|key| words(key) == rest).cloned();
    let found = exact.or_else(|| known.iter().find_map(|key| item_key(key, rest)));
    Some(found.ok_or_else(|| unknown_variable(rest, known)))
}

/// `CLUSTER_WORKER_POLL_EVERY`, also behind `OTOROSHI_` and `KOMAINU_`; and the names of what waits at the start.
fn otoroshis_key(name: &str) -> Option<String> {
    let boot = name.strip_prefix("OTOROSHI_BOOT_").and_then(names::boot_key);
    let cluster = || CLUSTER.iter().find_map(|prefix| names::cluster_key(name.strip_prefix(prefix)?));
    boot.or_else(cluster)
}

fn unknown_variable(rest: &str, known: &[String]) -> NameError {
    let variables: Vec<_> = known.iter().map(|key| format!("{PREFIX}{}", words(key))).collect();
    names::unknown(&format!("{PREFIX}{rest}"), &variables)
}

/// `cluster.leader.clientId` is `CLUSTER_LEADER_CLIENT_ID`.
fn words(key: &str) -> String {
    let mut name = String::new();
    for character in key.chars() {
        match character {
            '.' => name.push('_'),
            upper if upper.is_ascii_uppercase() => {
                name.push('_');
                name.push(upper);
            }
            lower => name.push(lower.to_ascii_uppercase()),
        }
    }
    name
}

/// `LISTENERS_0_ADVERTISED_PORT` is `listeners.0.advertisedPort`, `CLUSTER_LEADER_URLS_1` is `cluster.leader.urls.1`.
fn item_key(key: &str, rest: &str) -> Option<String> {
    let rest = rest.strip_prefix(&words(key))?.strip_prefix('_')?;
    let (position, field) =
        rest.split_once('_').map_or((rest, None), |(position, field)| (position, Some(field)));
    position.parse::<usize>().ok()?;
    Some(match field {
        None => format!("{key}.{position}"),
        Some(field) => format!("{key}.{position}.{}", camel_case(field)),
    })
}

fn camel_case(words: &str) -> String {
    let mut name = String::new();
    for (index, word) in words.split('_').enumerate() {
        let (first, others) = word.split_at_checked(1).unwrap_or_default();
        name.push_str(&if index == 0 { first.to_ascii_lowercase() } else { first.to_ascii_uppercase() });
        name.push_str(&others.to_ascii_lowercase());
    }
    name
}

/// Kubernetes puts variables like `KOMAINU_SERVICE_HOST` and `KOMAINU_PORT=tcp://…` into every pod beside a Service of that
/// name (the pod field `enableServiceLinks`).
fn is_service_link(rest: &str, value: &str) -> bool {
    let rest = format!("_{rest}");
    rest.contains("_SERVICE_HOST")
        || rest.contains("_SERVICE_PORT")
        || value.starts_with("tcp://")
        || value.starts_with("udp://")
        || ["_TCP_ADDR", "_TCP_PORT", "_TCP_PROTO", "_UDP_ADDR", "_UDP_PORT", "_UDP_PROTO"]
            .iter()
            .any(|end| rest.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_keys() {
        let known =
            ["admin.port", "cluster.leader.clientId", "cluster.leader.urls", "listeners"].map(str::to_owned);
        let key = |name: &str| key_of(name, "x", &known);
        assert_eq!(key("KOMAINU_ADMIN_PORT"), Some(Ok("admin.port".into())));
        assert_eq!(key("KOMAINU_CLUSTER_LEADER_CLIENT_ID"), Some(Ok("cluster.leader.clientId".into())));
        assert_eq!(key("KOMAINU_CLUSTER_LEADER_URLS_1"), Some(Ok("cluster.leader.urls.1".into())));
        assert_eq!(key("KOMAINU_LISTENERS_0_ADVERTISED_PORT"), Some(Ok("listeners.0.advertisedPort".into())));
        let error = key("KOMAINU_ADMIN_PROT").unwrap().unwrap_err().to_string();
        assert!(error.contains("KOMAINU_ADMIN_PORT"), "{error}");
        assert_eq!(key("KOMAINU_CONFIG"), None);
        assert_eq!(key("PATH"), None);
    }

    #[test]
    fn otoroshis_names_have_three_prefixes() {
        let key = |name: &str| key_of(name, "x", &[]);
        for prefix in CLUSTER {
            let found = key(&format!("{prefix}WORKER_POLL_EVERY"));
            assert_eq!(found, Some(Ok("cluster.worker.state.pollEvery".into())), "{prefix}");
        }
        assert_eq!(key("CLUSTER_NAME"), None, "maybe another program's");
        assert!(key("OTOROSHI_CLUSTER_NAME").is_some_and(|key| key.is_err()));
        assert_eq!(key("OTOROSHI_STORAGE"), None);
        let timeout = key("OTOROSHI_BOOT_WAIT_FOR_FIRST_CLUSTER_FETCH_TIMEOUT");
        assert_eq!(timeout, Some(Ok("boot.waitForFirstClusterFetchTimeout".into())));
    }

    #[test]
    fn what_kubernetes_adds_is_left_alone() {
        for (name, value) in [
            ("KOMAINU_SERVICE_HOST", "10.96.0.7"),
            ("KOMAINU_SERVICE_PORT_HTTP", "80"),
            ("KOMAINU_PORT", "tcp://10.96.0.7:80"),
            ("KOMAINU_PORT_80_TCP_ADDR", "10.96.0.7"),
            ("KOMAINU_LEADER_PORT_9000_TCP", "tcp://10.96.0.7:9000"),
        ] {
            assert_eq!(key_of(name, value, &[]), None, "{name}");
        }
    }
}
