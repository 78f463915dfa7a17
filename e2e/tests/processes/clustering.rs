//! `docs/clustering.md` does what it says.

use std::path::Path;

use e2e::process::Page;

const BEFORE: &str = "Run a leader and a worker";

/// Each with what all of them begin with. Together they are all of the page.
const SECTIONS: [&str; 8] = [
    "By options",
    "By a YAML file",
    "By a TOML file",
    "By the environment",
    "Credentials",
    "Several leaders",
    "When no leader answers",
    "One port, behind a platform's router",
];

fn runs(section: &str) {
    assert!(SECTIONS.contains(&section));
    Page::read("clustering.md").run(&[BEFORE, section]);
}

#[test]
fn no_command_of_the_page_is_left_out() {
    let page = Page::read("clustering.md");
    let others: Vec<_> = page.headings().into_iter().filter(|heading| *heading != BEFORE).collect();
    assert_eq!(others, SECTIONS);
}

#[test]
fn leader_and_worker_by_options() {
    runs("By options");
}

#[test]
fn leader_and_worker_by_a_yaml_file() {
    runs("By a YAML file");
}

#[test]
fn leader_and_worker_by_toml_files() {
    runs("By a TOML file");
}

#[test]
fn leader_and_worker_by_the_environment() {
    runs("By the environment");
}

#[test]
fn a_worker_with_generated_credentials() {
    runs("Credentials");
}

#[test]
fn a_worker_goes_on_to_the_second_leader() {
    runs("Several leaders");
}

#[test]
fn a_worker_without_a_leader() {
    runs("When no leader answers");
}

#[test]
fn leader_and_worker_behind_one_port() {
    runs("One port, behind a platform's router");
}

/// The folders of the tests that the page names as `file::test`.
const TESTS: [&str; 3] =
    ["tests/processes", "../dataplane/proxy/tests/cluster", "../operator/server/tests/port"];

#[test]
fn the_tests_that_the_page_names_exist() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(here.join("../docs/clustering.md")).unwrap();
    let quoted = page.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once("::"));
    let named: Vec<_> =
        quoted.filter(|(file, _)| file.bytes().all(|byte| byte.is_ascii_lowercase())).collect();
    for (file, test) in &named {
        let is_there = |folder: &&str| {
            let code =
                std::fs::read_to_string(here.join(folder).join(format!("{file}.rs"))).unwrap_or_default();
            code.contains(&format!("fn {test}()"))
        };
        assert!(TESTS.iter().any(is_there), "no test {file}::{test}");
    }
    assert!(named.len() > 20, "{named:?}");
}
