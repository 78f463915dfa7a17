//! The effect of each setting has a test, and this says which.

use std::path::Path;

use crate::settings::keys;

const PROCESS: &str = "komainu/src/effects/process.rs";
const LISTENERS: &str = "komainu/src/effects/listeners.rs";
const PROXY: &str = "komainu/src/effects/proxy.rs";
const NAMES: (&str, &str) =
    ("komainu/src/effects/names.rs", "the_servers_are_asked_and_bounds_of_the_time_to_live_kept");
const LOCATION: (&str, &str) = (PROXY, "where_a_worker_runs_decides_which_targets_it_uses");
const LEADER: &str = "komainu/src/effects/leader.rs";
const WORKER: &str = "komainu/src/effects/worker.rs";
const QUOTAS: (&str, &str) =
    ("komainu/src/modes/data_plane.rs", "settings_of_quotas_arrive_where_usage_is_told");
const BACKOFF: (&str, &str) = ("komainu/src/modes/data_plane.rs", "waits_for_a_leader_grow_by_the_settings");
const SELECTORS: &str = "komainu/src/effects/selectors.rs";
const SELECTED: (&str, &str) = (SELECTORS, "a_worker_takes_what_its_selector_selects");
const LEADER_TLS: &str = "komainu/src/effects/leader_tls.rs";
const TRUST: (&str, &str) = (LEADER_TLS, "a_leader_shows_its_certificate_and_is_trusted_by_the_settings");
const KNOWN: (&str, &str) = (LEADER_TLS, "with_authorities_a_leader_knows_workers_by_their_certificates");
/// Settings of TLS towards clients become an object, by which a listener greets them.
const TLS_OBJECT: (&str, &str) = ("komainu/src/modes/listeners.rs", "everything_of_tls_arrives");
const TLS_LISTENERS: &str = "dataplane/proxy/tests/tls_listeners.rs";
const KUBERNETES: (&str, &str) = (
    "e2e/tests/processes/effects.rs",
    "an_api_server_is_asked_for_what_is_in_the_namespaces_of_the_settings",
);
const LEADERS: &str = "e2e/tests/kubernetes_processes/leaders.rs";
const TOKENS: (&str, &str) = (LEADERS, "workers_are_known_by_the_tokens_of_their_pods");
const ONE_WRITES: (&str, &str) =
    (LEADERS, "of_two_leaders_one_writes_and_knows_what_the_workers_of_both_say");
const STORES: &str = "e2e/tests/stores/several.rs";
const REACH: &str = "e2e/tests/stores/reach.rs";
const STORE_USER: (&str, &str) = (REACH, "user_and_password_of_the_settings_count_for_more_than_the_urls");
const STORE_TLS: (&str, &str) = (REACH, "the_settings_of_tls_arrive");
const LOGS: &str = "komainu/src/logs.rs";

/// A key, and the tests that together show its effect: file and name.
const EFFECTS: [(&str, &[(&str, &str)]); 85] = [
    ("resources", &[(PROCESS, "a_folder_of_resources_is_served")]),
    ("dataDirectory", &[(PROCESS, "what_is_to_be_kept_is_in_the_data_directory")]),
    ("admin.address", &[(PROCESS, "the_admin_port_is_where_it_is_told")]),
    ("admin.port", &[(PROCESS, "the_admin_port_is_where_it_is_told")]),
    ("admin.tls.certificate", &[TRUST]),
    ("admin.tls.key", &[TRUST]),
    ("admin.tls.clientAuthorities", &[KNOWN]),
    ("listeners.name", &[(LISTENERS, "routes_are_attached_to_it_by_its_name")]),
    (
        "listeners.address",
        &[
            (LISTENERS, "it_has_its_address_and_port"),
            (LISTENERS, "a_worker_has_a_port_and_address_of_its_own_for_it"),
        ],
    ),
    (
        "listeners.port",
        &[
            (LISTENERS, "it_has_its_address_and_port"),
            (LISTENERS, "a_worker_has_a_port_and_address_of_its_own_for_it"),
        ],
    ),
    ("listeners.advertisedPort", &[(LISTENERS, "targets_are_told_the_advertised_port")]),
    ("listeners.protocol", &[(LISTENERS, "with_https_it_speaks_tls")]),
    ("listeners.proxyProtocol", &[(LISTENERS, "it_takes_the_header_of_the_proxy_protocol_or_not")]),
    ("listeners.http2", &[(LISTENERS, "it_speaks_http2_or_not")]),
    ("listeners.tls.certificates", &[TLS_OBJECT, (TLS_LISTENERS, "certificates_are_chosen_by_name")]),
    ("listeners.tls.clientCertificates", &[TLS_OBJECT, (TLS_LISTENERS, "a_client_certificate_is_required")]),
    ("listeners.tls.clientAuthorities", &[TLS_OBJECT, (TLS_LISTENERS, "a_client_certificate_is_required")]),
    (
        "listeners.tls.forwardClientCertificate",
        &[TLS_OBJECT, (TLS_LISTENERS, "a_client_certificate_is_optional_and_targets_see_it")],
    ),
    ("proxy.threads", &[(PROXY, "each_thread_listens")]),
    ("proxy.trustedProxies", &[(PROXY, "a_trusted_proxy_is_believed")]),
    ("proxy.connectionsPerTarget", &[(PROXY, "connections_to_a_target_are_as_many_as_allowed")]),
    ("proxy.dns.servers", &[NAMES]),
    ("proxy.dns.minTtl", &[NAMES]),
    ("proxy.dns.maxTtl", &[NAMES]),
    ("proxy.readiness", &[(PROXY, "a_listener_says_whether_the_process_is_ready")]),
    ("proxy.drainDelay", &[(PROCESS, "a_stop_begins_after_the_delay")]),
    ("proxy.drainTimeout", &[(PROCESS, "open_requests_are_cut_after_the_timeout")]),
    ("instance.location.provider", &[LOCATION]),
    ("instance.location.region", &[LOCATION]),
    ("instance.location.zone", &[LOCATION]),
    ("instance.location.dataCenter", &[LOCATION]),
    ("instance.location.rack", &[LOCATION]),
    ("cluster.mode", &[(PROCESS, "the_mode_says_which_halves_there_are")]),
    (
        "cluster.compression",
        &[
            (LEADER, "the_state_is_compressed_by_the_level"),
            (WORKER, "a_leader_may_compress_if_the_settings_let_it"),
        ],
    ),
    ("cluster.retryDelay", &[BACKOFF]),
    ("cluster.retryFactor", &[BACKOFF]),
    ("cluster.mtls.enabled", &[TRUST]),
    ("cluster.mtls.certs", &[KNOWN]),
    ("cluster.mtls.trustedCerts", &[TRUST]),
    ("cluster.mtls.loose", &[TRUST]),
    ("cluster.mtls.trustAll", &[TRUST]),
    ("cluster.leader.name", &[(LEADER, "a_leader_says_its_name")]),
    ("cluster.leader.urls", &[(WORKER, "each_leader_is_asked")]),
    ("cluster.leader.host", &[(WORKER, "a_leader_is_asked_for_by_the_host_of_the_settings")]),
    (
        "cluster.leader.clientId",
        &[
            (LEADER, "the_client_id_and_the_secret_let_in_and_others_do_not"),
            (WORKER, "a_leader_is_shown_the_credentials_of_the_settings"),
        ],
    ),
    (
        "cluster.leader.clientSecret",
        &[
            (LEADER, "the_client_id_and_the_secret_let_in_and_others_do_not"),
            (WORKER, "a_leader_is_shown_the_credentials_of_the_settings"),
        ],
    ),
    ("cluster.leader.clients", &[(SELECTORS, "a_client_of_its_own_may_have_a_part")]),
    (
        "cluster.leader.cacheStateFor",
        &[
            ("komainu/src/modes/control_plane.rs", "settings_of_the_cluster_arrive_at_a_leader"),
            (
                "operator/server/src/cluster/keep_tests.rs",
                "what_was_encoded_is_kept_for_as_long_as_the_settings_say",
            ),
        ],
    ),
    ("cluster.leader.replicas", &[(LEADERS, "several_leaders_without_a_shared_store_take_no_writes")]),
    ("cluster.leader.advertisedUrl", &[ONE_WRITES]),
    ("cluster.leader.tokenFile", &[ONE_WRITES]),
    ("cluster.worker.tokenFile", &[TOKENS]),
    ("cluster.worker.name", &[(WORKER, "a_worker_is_a_member_by_its_name")]),
    ("cluster.worker.retries", &[BACKOFF]),
    ("cluster.worker.timeout", &[(WORKER, "a_silent_leader_is_given_up_after_the_timeout")]),
    ("cluster.worker.dbpath", &[(WORKER, "what_is_served_is_kept_in_the_file_of_the_settings")]),
    ("cluster.worker.bootWait", &[(WORKER, "a_start_without_a_leader_is_ready_after_the_boot_wait")]),
    ("cluster.worker.state.retries", &[BACKOFF]),
    ("cluster.worker.state.timeout", &[(WORKER, "a_silent_leader_is_given_up_after_the_timeout")]),
    ("cluster.worker.state.pollEvery", &[(WORKER, "a_leader_is_asked_to_hold_polls_as_the_settings_say")]),
    ("cluster.worker.state.longPoll", &[(WORKER, "a_leader_is_asked_to_hold_polls_as_the_settings_say")]),
    (
        "cluster.worker.quotas.pushEvery",
        &[("e2e/tests/processes/limits.rs", "a_push_waits_as_the_settings_say"), QUOTAS],
    ),
    ("cluster.worker.quotas.retries", &[QUOTAS]),
    ("cluster.worker.quotas.timeout", &[QUOTAS]),
    ("cluster.worker.selector.namespaces", &[SELECTED]),
    ("cluster.worker.selector.labels", &[SELECTED]),
    ("cluster.worker.selector.tenants", &[SELECTED]),
    ("store.url", &[(STORES, "what_is_written_on_one_standalone_is_live_on_the_others")]),
    ("store.username", &[STORE_USER]),
    ("store.password", &[STORE_USER]),
    ("store.passwordFile", &[STORE_USER, (REACH, "passwords_and_certificates_are_read_for_each_connection")]),
    ("store.tls.authorities", &[STORE_TLS]),
    ("store.tls.certificate", &[STORE_TLS]),
    ("store.tls.key", &[STORE_TLS]),
    ("store.prefix", &[(REACH, "stores_of_other_prefixes_are_other_stores")]),
    ("store.pollEvery", &[(REACH, "cassandra_is_asked_as_often_as_the_settings_say")]),
    ("kubernetes.enabled", &[KUBERNETES]),
    ("kubernetes.namespaces", &[KUBERNETES]),
    ("kubernetes.lease", &[ONE_WRITES]),
    ("kubernetes.audience", &[TOKENS]),
    ("kubernetes.workers.serviceAccount", &[TOKENS]),
    ("kubernetes.workers.selector", &[(LEADERS, "ready_pods_are_counted_connected_or_not")]),
    ("kubernetes.leaders.serviceAccount", &[ONE_WRITES]),
    ("log.filter", &[(LOGS, "the_filter_says_what_is_written")]),
    ("log.format", &[(LOGS, "the_format_says_how")]),
];

#[test]
fn each_setting_has_a_test_of_its_effect() {
    let mut tested = EFFECTS.map(|(key, _)| key.to_owned());
    let mut keys = keys();
    tested.sort();
    keys.sort();
    assert_eq!(tested.as_slice(), keys);
}

#[test]
fn the_tests_of_effects_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (key, tests) in EFFECTS {
        assert!(!tests.is_empty(), "{key}");
        for (file, name) in tests {
            let code = std::fs::read_to_string(root.join(file)).unwrap_or_default();
            let before = code.split_once(&format!("fn {name}()")).map(|(before, _)| before.trim_end());
            let attribute =
                before.and_then(|before| before.trim_end_matches("async").trim_end().lines().last());
            let is_test =
                attribute.is_some_and(|line| line.starts_with("    #[t") || line.starts_with("#[t"));
            assert!(is_test, "{key}: {file} has no test {name}");
        }
    }
}
