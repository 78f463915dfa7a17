//! Every name that Otoroshi has for a setting of its cluster.

use super::super::Settings;
use super::super::environment;
use super::super::sources::{leaf_keys, to_value};
use super::*;

/// Key below `cluster`, and name of the variable behind `CLUSTER_` and `OTOROSHI_CLUSTER_`; empty: it has none.
const CLUSTERS: [(&str, &str); 83] = [
    ("mode", "MODE"),
    ("compression", "COMPRESSION"),
    ("retryDelay", "RETRY_DELAY"),
    ("retryFactor", "RETRY_FACTOR"),
    ("selfAddress", "SELF_ADDRESS"),
    ("autoUpdateState", "AUTO_UPDATE_STATE"),
    ("streamed", ""),
    ("backup.enabled", "BACKUP_ENABLED"),
    ("backup.kind", "BACKUP_KIND"),
    ("backup.instance.can-write", "BACKUP_INSTANCE_CAN_WRITE"),
    ("backup.instance.can-read", "BACKUP_INSTANCE_CAN_READ"),
    ("backup.s3.bucket", "BACKUP_S3_BUCKET"),
    ("backup.s3.endpoint", "BACKUP_S3_ENDPOINT"),
    ("backup.s3.region", "BACKUP_S3_REGION"),
    ("backup.s3.access", "BACKUP_S3_ACCESSKEY"),
    ("backup.s3.secret", "BACKUP_S3_SECRET"),
    ("backup.s3.path", "BACKUP_S3_PATH"),
    ("backup.s3.chunk-size", "BACKUP_S3_CHUNK_SIZE"),
    ("backup.s3.v4auth", "BACKUP_S3_V4AUTH"),
    ("backup.s3.acl", "BACKUP_S3_ACL"),
    ("relay.enabled", "RELAY_ENABLED"),
    ("relay.leaderOnly", "RELAY_LEADER_ONLY"),
    ("relay.location.provider", "RELAY_LOCATION_PROVIDER"),
    ("relay.location.zone", "RELAY_LOCATION_ZONE"),
    ("relay.location.region", "RELAY_LOCATION_REGION"),
    ("relay.location.datacenter", "RELAY_LOCATION_DATACENTER"),
    ("relay.location.rack", "RELAY_LOCATION_RACK"),
    ("relay.exposition.url", "RELAY_EXPOSITION_URL"),
    ("relay.exposition.urls", "RELAY_EXPOSITION_URLS"),
    ("relay.exposition.urls.0", ""),
    ("relay.exposition.urlsStr", ""),
    ("relay.exposition.hostname", "RELAY_EXPOSITION_HOSTNAME"),
    ("relay.exposition.clientId", "RELAY_EXPOSITION_CLIENT_ID"),
    ("relay.exposition.clientSecret", "RELAY_EXPOSITION_CLIENT_SECRET"),
    ("relay.exposition.ipAddress", "RELAY_EXPOSITION_IP_ADDRESS"),
    ("relay.exposition.tls.mtls", ""),
    ("relay.exposition.tls.enabled", ""),
    ("relay.exposition.tls.loose", ""),
    ("relay.exposition.tls.trustAll", ""),
    ("relay.exposition.tls.certs", ""),
    ("relay.exposition.tls.trustedCerts", ""),
    ("mtls.enabled", "MTLS_ENABLED"),
    ("mtls.loose", "MTLS_LOOSE"),
    ("mtls.trustAll", "MTLS_TRUST_ALL"),
    ("mtls.certs", ""),
    ("mtls.certs.0", "MTLS_CERTS_0"),
    ("mtls.trustedCerts", ""),
    ("mtls.trustedCerts.0", "MTLS_TRUSTED_CERTS_0"),
    ("proxy.enabled", "PROXY_ENABLED"),
    ("proxy.host", "PROXY_HOST"),
    ("proxy.port", "PROXY_PORT"),
    ("proxy.principal", "PROXY_PRINCIPAL"),
    ("proxy.password", "PROXY_PASSWORD"),
    ("proxy.ntlmDomain", "PROXY_NTLM_DOMAIN"),
    ("proxy.encoding", "PROXY_ENCODING"),
    ("leader.name", "LEADER_NAME"),
    ("leader.urls", "LEADER_URLS"),
    ("leader.urls.0", "LEADER_URLS_0"),
    ("leader.urlsStr", ""),
    ("leader.url", "LEADER_URL"),
    ("leader.host", "LEADER_HOST"),
    ("leader.clientId", "LEADER_CLIENT_ID"),
    ("leader.clientSecret", "LEADER_CLIENT_SECRET"),
    ("leader.groupingBy", "LEADER_GROUP_BY"),
    ("leader.cacheStateFor", "LEADER_CACHE_STATE_FOR"),
    ("leader.stateDumpPath", "LEADER_DUMP_PATH"),
    ("worker.name", "WORKER_NAME"),
    ("worker.retries", "WORKER_RETRIES"),
    ("worker.timeout", "WORKER_TIMEOUT"),
    ("worker.dataStaleAfter", "WORKER_DATA_STALE_AFTER"),
    ("worker.dbpath", "WORKER_DB_PATH"),
    ("worker.tenants", "WORKER_TENANTS"),
    ("worker.tenants.0", "WORKER_TENANTS_0"),
    ("worker.tenantsStr", ""),
    ("worker.swapStrategy", "WORKER_SWAP_STRATEGY"),
    ("worker.modern", "WORKER_STORE_MODERN"),
    ("worker.useWs", "WORKER_USE_WS"),
    ("worker.state.retries", "WORKER_STATE_RETRIES"),
    ("worker.state.pollEvery", "WORKER_POLL_EVERY"),
    ("worker.state.timeout", "WORKER_POLL_TIMEOUT"),
    ("worker.quotas.retries", "WORKER_QUOTAS_RETRIES"),
    ("worker.quotas.pushEvery", "WORKER_PUSH_EVERY"),
    ("worker.quotas.timeout", "WORKER_PUSH_TIMEOUT"),
];

/// The same below `boot` and behind `OTOROSHI_BOOT_`.
const BOOTS: [(&str, &str); 6] = [
    ("globalWait", "GLOBAL_WAIT"),
    ("globalWaitTimeout", "GLOBAL_WAIT_TIMEOUT"),
    ("waitForFirstClusterFetch", "WAIT_FOR_FIRST_CLUSTER_FETCH"),
    ("waitForFirstClusterFetchTimeout", "WAIT_FOR_FIRST_CLUSTER_FETCH_TIMEOUT"),
    ("waitForFirstClusterStateCache", "WAIT_FOR_FIRST_CLUSTER_STATE_CACHE"),
    ("waitForFirstClusterStateCacheTimeout", "WAIT_FOR_FIRST_CLUSTER_STATE_CACHE_TIMEOUT"),
];

fn known() -> Vec<String> {
    leaf_keys(&to_value(&Settings::default()))
}

/// What a key means: one of ours, or nothing, with a reason.
fn meaning_of(key: &str) -> Result<String, &'static str> {
    match resolve(key, false, &known()) {
        Ok((ours, _)) => {
            assert!(is_known(&ours, &known()), "{key} means {ours}, which is no setting");
            Ok(ours)
        }
        Err(NameError::Refused { reason, .. }) => Err(reason),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn each_name_has_a_meaning_or_is_refused_with_a_reason() {
    for (section, names, prefixes) in [
        ("cluster", &CLUSTERS[..], &["CLUSTER_", "OTOROSHI_CLUSTER_"][..]),
        ("boot", &BOOTS[..], &["OTOROSHI_BOOT_"][..]),
    ] {
        for (name, variable) in names {
            let meaning = meaning_of(&format!("otoroshi.{section}.{name}"));
            assert_eq!(meaning, meaning_of(&format!("{section}.{name}")), "{name}");
            for prefix in prefixes.iter().filter(|_| !variable.is_empty()) {
                let variable = format!("{prefix}{variable}");
                let key = environment::key_of(&variable, "x", &known());
                let key = key.and_then(Result::ok).unwrap_or_else(|| panic!("{variable} is unknown"));
                assert_eq!(meaning_of(&key), meaning, "{variable}");
            }
        }
    }
}

#[test]
fn a_part_of_a_list_is_the_same_part_of_ours() {
    for (key, ours) in [
        ("otoroshi.cluster.worker.tenants.0", "cluster.worker.selector.tenants.0"),
        ("cluster.worker.tenants.12", "cluster.worker.selector.tenants.12"),
        ("cluster.leader.urls.1", "cluster.leader.urls.1"),
        ("cluster.mtls.certs.0", "cluster.mtls.certs.0"),
    ] {
        assert_eq!(meaning_of(key), Ok(ours.to_owned()));
    }
    for key in ["cluster.worker.tenants.a", "cluster.worker.tenants.", "cluster.worker.tenantsStr.0"] {
        assert!(matches!(resolve(key, false, &known()), Err(NameError::Unknown { .. })), "{key}");
    }
}
