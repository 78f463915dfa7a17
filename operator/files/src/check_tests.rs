use std::fs;

use tempfile::TempDir;

use super::*;

const BACKEND: &str = "\
apiVersion: komainu.dev/v1alpha1
kind: Backend
metadata: { name: users }
spec:
  targets: [{ hostname: 127.0.0.1, port: 9101 }]
";
const ROUTE: &str = "\
---
apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: { name: users }
spec:
  listeners: [web]
  matches:
    - paths: [{ value: /users }]
  backends:
    - ref: { name: users }
";

/// The report as it is printed, with the folder's name left out.
fn checked(files: &[(&str, &str)], listeners: Option<Arc<Vec<ListenerSettings>>>) -> String {
    let dir = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let report = check(&[dir.path().to_owned()], listeners);
    assert_eq!(report.ok(), report.problems.is_empty());
    report.to_string().replace(&format!("{}/", dir.path().display()), "")
}

#[test]
fn good_files() {
    assert_eq!(
        checked(&[("a.yaml", BACKEND), ("b.yaml", ROUTE)], None),
        "2 files: 1 backend and 1 route, 0 problems, 0 warnings"
    );
}

#[test]
fn what_plan_finds_has_its_place() {
    let proxied = format!("{BACKEND}  client: {{ proxy: {{ host: 'p:1', port: 1 }} }}\n");
    let route = ROUTE
        .replace("ref: { name: users }", "ref: { name: nobody }")
        .replace("value: /users", "value: '/users/$id<[>'");
    let told = checked(&[("a.yaml", &proxied), ("b.yaml", &route)], None);
    let lines: Vec<_> = told.lines().collect();
    assert!(lines[0].starts_with("a.yaml:6:22: spec.client.proxy.host: "), "{told}");
    assert!(lines[0].contains("without a port"), "{told}");
    assert!(
        lines.iter().any(|line| line.starts_with("b.yaml:8:17: spec.matches[0].paths[0].value: ")),
        "{told}"
    );
    assert_eq!(
        *lines.last().unwrap(),
        format!("2 files: 1 backend and 1 route, {} problems, 0 warnings", lines.len() - 1)
    );
}

#[test]
fn a_password_is_looked_up_and_never_told() {
    let secret = "{ host: p, port: 1, principal: a, passwordSecret: { name: proxy, key: password } }";
    let proxied = format!("{BACKEND}  client: {{ proxy: {secret} }}\n");
    let told = checked(&[("a.yaml", &proxied)], None);
    assert!(told.contains("there is no secret proxy in namespace default"), "{told}");
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("secrets/proxy")).unwrap();
    fs::write(dir.path().join("secrets/proxy/password"), "hunter2\n").unwrap();
    fs::write(dir.path().join("a.yaml"), proxied).unwrap();
    let told = check(&[dir.path().to_owned()], None).to_string();
    assert_eq!(told, "2 files: 1 backend and 0 routes, 0 problems, 0 warnings");
    let number =
        format!("{BACKEND}  client: {{ proxy: {{ host: p, port: 1, principal: a, password: 4711 }} }}\n");
    let told = checked(&[("a.yaml", &number)], None);
    assert!(told.contains("write it in quotes") && !told.contains("4711"), "{told}");
}

#[test]
fn a_reference_to_nothing_is_told() {
    let told = checked(&[("b.yaml", ROUTE)], None);
    assert!(told.starts_with("b.yaml:10:7: spec.backends[0].ref"), "{told}");
}

#[test]
fn listeners_are_judged_by_the_settings_if_there_are_any() {
    let http = ListenerSettings::http("http", 8080);
    let told = checked(&[("a.yaml", BACKEND), ("b.yaml", ROUTE)], Some(Arc::new(vec![http])));
    assert!(told.starts_with("b.yaml:6:15: spec.listeners[0]: "), "{told}");
}

#[test]
fn routes_that_take_each_others_requests_are_told() {
    let other = ROUTE.replace("metadata: { name: users }", "metadata: { name: zebra }");
    let told = checked(&[("a.yaml", BACKEND), ("b.yaml", ROUTE), ("c.yaml", &other)], None);
    assert!(told.contains("warning: c.yaml:"), "{told}");
    assert!(told.ends_with("3 files: 1 backend and 2 routes, 0 problems, 1 warning"), "{told}");
}

#[test]
fn files_that_are_missing_or_broken() {
    let report = check(&["/does/not/exist.yaml".into()], None);
    assert!(!report.ok());
    assert!(
        report.to_string().starts_with("/does/not/exist.yaml:1:1: can't be read: No such file"),
        "{report}"
    );
    let told = checked(&[("a.yaml", BACKEND), ("b.yaml", "a: [\n")], None);
    assert!(told.starts_with("b.yaml:1:4: isn't YAML"), "{told}");
    assert!(told.ends_with("2 files: 1 backend and 0 routes, 1 problem, 0 warnings"), "{told}");
}
