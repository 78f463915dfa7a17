//! Whether two processes have the settings of a cluster in common.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Settings;
use super::sources::{leaf_keys, to_value};

/// What is each process's own, or only one half of a cluster's. Credentials that differ show by themselves.
const OWN: [&str; 20] = [
    "mode",
    "mtls.enabled",
    "mtls.certs",
    "mtls.trustedCerts",
    "mtls.loose",
    "mtls.trustAll",
    "leader.name",
    "leader.urls",
    "leader.host",
    "leader.clientId",
    "leader.clientSecret",
    "leader.clients",
    "leader.replicas",
    "leader.advertisedUrl",
    "leader.tokenFile",
    "worker.name",
    "worker.tokenFile",
    "worker.selector.namespaces",
    "worker.selector.labels",
    "worker.selector.tenants",
];

/// A place on one machine.
const PLACE: &str = "worker.dbpath";

/// The first 16 hexadecimal digits of the SHA-256 of the settings below `cluster` that all processes of a cluster should
/// have in common, as they are in force.
pub(crate) fn fingerprint(settings: &Settings) -> String {
    let tree = to_value(settings);
    let cluster = tree.get("cluster").unwrap_or(&Value::Null);
    let mut hash = Sha256::new();
    for key in leaf_keys(cluster).iter().filter(|key| !OWN.contains(&key.as_str()) && *key != PLACE) {
        let value = key.split('.').try_fold(cluster, |value, part| value.get(part)).unwrap_or(&Value::Null);
        hash.update(format!("{key}={value}\n"));
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::RunArguments;
    use crate::settings::load;

    fn of(set: &[&str]) -> String {
        let set = set.iter().map(ToString::to_string).collect();
        fingerprint(&load(&RunArguments { set, ..Default::default() }, []).unwrap().settings)
    }

    #[test]
    fn what_a_cluster_shares_decides_and_nothing_else() {
        let default = of(&[]);
        assert_eq!(default.len(), 16);
        for own in [
            "cluster.mode=worker",
            "cluster.leader.name=a",
            "cluster.leader.urls.0=http://127.0.0.1:1",
            "cluster.leader.host=a",
            "cluster.leader.clientId=a",
            "cluster.leader.clientSecret=b",
            "cluster.worker.name=w",
            "cluster.worker.dbpath=/x",
            "cluster.worker.selector.tenants=a",
            "cluster.leader.clients.0.clientId=a",
            "cluster.leader.replicas=2",
            "cluster.leader.advertisedUrl=http://127.0.0.1:1",
            "cluster.leader.tokenFile=/x",
            "cluster.worker.tokenFile=/x",
            "admin.port=1",
        ] {
            assert_eq!(of(&[own]), default, "{own}");
        }
        for shared in [
            "cluster.compression=1",
            "cluster.retryDelay=1s",
            "cluster.retryFactor=3",
            "cluster.leader.cacheStateFor=9s",
            "cluster.worker.timeout=9s",
            "cluster.worker.state.pollEvery=9s",
        ] {
            assert_ne!(of(&[shared]), default, "{shared}");
        }
        assert_eq!(of(&["cluster.retryDelay=1000"]), of(&["cluster.retryDelay=1s"]), "however it is written");
    }
}
