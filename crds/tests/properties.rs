//! docs/properties.md has every property of Otoroshi's Backends page, and the tests that it names exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The properties of the page, section by section.
const PAGE: &[(&str, &[&str])] = &[
    ("", &["targets", "root", "rewrite", "load_balancing", "health_check", "client"]),
    (
        "targets[].",
        &[
            "id",
            "hostname",
            "port",
            "tls",
            "weight",
            "protocol",
            "predicate",
            "ip_address",
            "tls_config",
            "backup",
        ],
    ),
    ("targets[].tls_config.", &["enabled", "loose", "trust_all", "certs", "trusted_certs"]),
    ("health_check.", &["enabled", "url"]),
    (
        "load_balancing: ",
        &["RoundRobin", "Random", "Sticky", "IpAddressHash", "BestResponseTime", "WeightedBestResponseTime"],
    ),
    (
        "client.",
        &[
            "retries",
            "max_errors",
            "retry_initial_delay",
            "backoff_factor",
            "connection_timeout",
            "idle_timeout",
            "call_and_stream_timeout",
            "call_timeout",
            "global_timeout",
            "sample_interval",
            "custom_timeouts",
            "cache_connection_settings",
            "proxy",
        ],
    ),
    (
        "client.custom_timeouts[].",
        &[
            "path",
            "connection_timeout",
            "idle_timeout",
            "call_and_stream_timeout",
            "call_timeout",
            "global_timeout",
        ],
    ),
    ("client.cache_connection_settings.", &["enabled", "queue_size"]),
    ("client.proxy.", &["host", "port", "protocol", "principal", "password"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The cells of each row of the tables.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
}

/// The texts between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_property_of_the_page_has_its_row() {
    let text = std::fs::read_to_string(root().join("docs/properties.md")).unwrap();
    let listed: BTreeSet<_> = rows(&text).map(|cells| quoted(cells[0]).next().unwrap().to_owned()).collect();
    let page =
        PAGE.iter().flat_map(|(section, names)| names.iter().map(move |name| format!("{section}{name}")));
    let missing: Vec<_> = page.filter(|property| !listed.contains(property)).collect();
    assert!(missing.is_empty(), "docs/properties.md lacks {missing:?}");
}

#[test]
fn every_row_names_a_test_that_exists() {
    let text = std::fs::read_to_string(root().join("docs/properties.md")).unwrap();
    let mut count = 0;
    for cells in rows(&text) {
        assert_eq!(cells.len(), 3, "{cells:?}");
        let proofs: Vec<_> = quoted(cells[2]).collect();
        assert!(!proofs.is_empty(), "no test: {cells:?}");
        for proof in proofs {
            let (file, test) = proof.split_once(' ').unwrap_or_else(|| panic!("file and test: {proof}"));
            let code =
                std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            // A golden pair is named by a line that it has.
            let needle = if file.ends_with(".rs") { format!("fn {test}(") } else { test.to_owned() };
            assert!(code.contains(&needle), "{file} has no {test}");
            count += 1;
        }
    }
    assert!(count > 60, "{count} proofs");
}
