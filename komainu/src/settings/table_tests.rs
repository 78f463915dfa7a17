//! Each setting by file, environment and command line: it arrives, and as the same.

use serde_json::Value;

use super::sources::{leaf_keys, to_value};
use super::{Settings, load};
use crate::args::RunArguments;

/// Another value than the default for each setting.
const SAMPLES: [(&str, &str); 75] = [
    ("resources", "folder"),
    ("dataDirectory", "data"),
    ("admin.address", "127.0.0.2"),
    ("admin.port", "7000"),
    ("admin.tls.certificate", "a.crt"),
    ("admin.tls.key", "a.key"),
    ("admin.tls.clientAuthorities", "workers.crt"),
    ("listeners.0.port", "7001"),
    ("proxy.threads", "3"),
    ("proxy.trustedProxies.0", "10.0.0.0/8"),
    ("proxy.connectionsPerTarget", "7"),
    ("proxy.dns.servers.0", "10.0.0.10"),
    ("proxy.dns.minTtl", "2s"),
    ("proxy.dns.maxTtl", "1m"),
    ("proxy.readiness", "true"),
    ("proxy.drainDelay", "1s"),
    ("proxy.drainTimeout", "2s"),
    ("instance.location.provider", "p"),
    ("instance.location.region", "r"),
    ("instance.location.zone", "z"),
    ("instance.location.dataCenter", "d"),
    ("instance.location.rack", "k"),
    ("cluster.mode", "leader"),
    ("cluster.compression", "-1"),
    ("cluster.retryDelay", "1s"),
    ("cluster.retryFactor", "3"),
    ("cluster.mtls.enabled", "true"),
    ("cluster.mtls.certs.0", "w.crt"),
    ("cluster.mtls.trustedCerts.0", "ca.crt"),
    ("cluster.mtls.loose", "true"),
    ("cluster.mtls.trustAll", "true"),
    ("cluster.leader.name", "one"),
    ("cluster.leader.urls.0", "http://a"),
    ("cluster.leader.host", "h"),
    ("cluster.leader.clientId", "id"),
    ("cluster.leader.clientSecret", "hush"),
    ("cluster.leader.clients.0.clientId", "edge"),
    ("cluster.leader.cacheStateFor", "1s"),
    ("cluster.leader.replicas", "2"),
    ("cluster.leader.advertisedUrl", "https://leader-0:9000"),
    ("cluster.leader.tokenFile", "leader-token"),
    ("cluster.worker.name", "w"),
    ("cluster.worker.tokenFile", "token"),
    ("cluster.worker.retries", "5"),
    ("cluster.worker.timeout", "1s"),
    ("cluster.worker.dbpath", "file"),
    ("cluster.worker.bootWait", "1s"),
    ("cluster.worker.state.retries", "6"),
    ("cluster.worker.state.pollEvery", "1s"),
    ("cluster.worker.state.longPoll", "false"),
    ("cluster.worker.state.timeout", "1s"),
    ("cluster.worker.quotas.pushEvery", "1s"),
    ("cluster.worker.quotas.retries", "4"),
    ("cluster.worker.quotas.timeout", "1s"),
    ("cluster.worker.selector.namespaces.0", "shop"),
    ("cluster.worker.selector.labels.0", "team=shop"),
    ("cluster.worker.selector.tenants.0", "acme"),
    ("store.url", "redis://a:6379/1"),
    ("store.username", "me"),
    ("store.password", "hush"),
    ("store.passwordFile", "password"),
    ("store.tls.authorities", "ca.crt"),
    ("store.tls.certificate", "a.crt"),
    ("store.tls.key", "a.key"),
    ("store.prefix", "gateway"),
    ("store.pollEvery", "1s"),
    ("kubernetes.enabled", "true"),
    ("kubernetes.namespaces.0", "shop"),
    ("kubernetes.lease", "leader"),
    ("kubernetes.audience", "gateway"),
    ("kubernetes.workers.serviceAccount", "gateway/worker"),
    ("kubernetes.workers.selector", "app=worker"),
    ("kubernetes.leaders.serviceAccount", "gateway/leader"),
    ("log.filter", "debug"),
    ("log.format", "json"),
];

/// Otoroshi's name of a variable, and what it sets.
const OTOROSHIS: [(&str, &str, &str); 23] = [
    ("MODE", "Leader", "cluster.mode"),
    ("COMPRESSION", "9", "cluster.compression"),
    ("RETRY_DELAY", "100", "cluster.retryDelay"),
    ("RETRY_FACTOR", "4", "cluster.retryFactor"),
    ("MTLS_ENABLED", "true", "cluster.mtls.enabled"),
    ("MTLS_LOOSE", "true", "cluster.mtls.loose"),
    ("MTLS_TRUST_ALL", "true", "cluster.mtls.trustAll"),
    ("MTLS_CERTS", "w.crt", "cluster.mtls.certs"),
    ("MTLS_TRUSTED_CERTS", "ca.crt", "cluster.mtls.trustedCerts"),
    ("LEADER_NAME", "one", "cluster.leader.name"),
    ("LEADER_URL", "http://a", "cluster.leader.urls"),
    ("LEADER_HOST", "h", "cluster.leader.host"),
    ("LEADER_CLIENT_ID", "id", "cluster.leader.clientId"),
    ("LEADER_CLIENT_SECRET", "hush", "cluster.leader.clientSecret"),
    ("LEADER_CACHE_STATE_FOR", "100", "cluster.leader.cacheStateFor"),
    ("WORKER_NAME", "w", "cluster.worker.name"),
    ("WORKER_RETRIES", "5", "cluster.worker.retries"),
    ("WORKER_DB_PATH", "file", "cluster.worker.dbpath"),
    ("WORKER_TENANTS", "acme,other", "cluster.worker.selector.tenants"),
    ("WORKER_POLL_EVERY", "1000", "cluster.worker.state.pollEvery"),
    ("WORKER_POLL_TIMEOUT", "1000", "cluster.worker.state.timeout"),
    ("WORKER_PUSH_EVERY", "1000", "cluster.worker.quotas.pushEvery"),
    ("WORKER_PUSH_TIMEOUT", "1000", "cluster.worker.quotas.timeout"),
];

fn settings(arguments: RunArguments, variable: Option<(String, &str)>) -> Value {
    let variables = variable.map(|(name, text)| (name, text.to_owned()));
    to_value(&load(&arguments, variables).unwrap().settings)
}

fn by_set(key: &str, text: &str) -> Value {
    settings(RunArguments { set: vec![format!("{key}={text}")], ..RunArguments::default() }, None)
}

/// As YAML has it: a number or a truth value isn't text there.
fn by_file(key: &str, text: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.yaml");
    let mut yaml = text.to_owned();
    for part in key.rsplit('.') {
        yaml = if part == "0" { format!("[{yaml}]") } else { format!("{{{part}: {yaml}}}") };
    }
    std::fs::write(&file, yaml).unwrap();
    settings(RunArguments { config: Some(file), ..RunArguments::default() }, None)
}

fn by_environment(key: &str, text: &str) -> Value {
    let mut name = "KOMAINU_".to_owned();
    for character in key.chars() {
        match character {
            '.' => name.push('_'),
            upper if upper.is_uppercase() => name.extend(['_', upper]),
            lower => name.push(lower.to_ascii_uppercase()),
        }
    }
    settings(RunArguments::default(), Some((name, text)))
}

#[test]
fn each_setting_arrives_from_each_source() {
    let default = to_value(&Settings::default());
    for (key, text) in SAMPLES {
        let set = by_set(key, text);
        assert_ne!(set, default, "{key}");
        assert_eq!(by_file(key, text), set, "{key} in a file");
        assert_eq!(by_environment(key, text), set, "{key} in the environment");
        assert_eq!(by_set(&format!("otoroshi.{key}"), text), set, "{key} as Otoroshi writes it");
    }
    let sampled = |key: &String| {
        SAMPLES.iter().any(|(sample, _)| {
            sample.strip_suffix(".0").unwrap_or(sample) == key || sample.starts_with(&format!("{key}.0"))
        })
    };
    let missing: Vec<_> = leaf_keys(&default).into_iter().filter(|key| !sampled(key)).collect();
    assert_eq!(missing, [""; 0], "settings without a sample");
}

#[test]
fn otoroshis_variables_arrive_behind_each_prefix() {
    for (name, text, key) in OTOROSHIS {
        let set = by_set(key, text);
        for prefix in ["CLUSTER_", "OTOROSHI_CLUSTER_", "KOMAINU_CLUSTER_"] {
            let found = settings(RunArguments::default(), Some((format!("{prefix}{name}"), text)));
            assert_eq!(found, set, "{prefix}{name}");
        }
    }
}
