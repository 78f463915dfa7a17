//! Leader and worker as processes, with a real API server: what is applied is served, and keeps being served without it.
#![expect(clippy::indexing_slicing, reason = "a field that JSON lacks is null")]

mod leaders;
#[path = "../kubernetes/pod.rs"]
mod pod;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use e2e::kube::{ApiServer, Kubectl, User};
use e2e::process::{CREDENTIALS, Gateway, Load, Program, figure, get, until};
use pod::Pod;

const HELLO: &str = include_str!("../../../examples/quickstart/hello.yaml");
const REFUSED: &str = include_str!("../../../examples/quickstart/refused.yaml");

/// A leader that watches an API server; killed when it is dropped.
struct Leader(Child);

impl Leader {
    fn start(gateway: &Gateway, kubeconfig: &Path, folder: &Path) -> anyhow::Result<Self> {
        let log = File::options().create(true).append(true).open(folder.join("leader.log"))?;
        let settings = [
            ("dataDirectory", folder.join("leader-data").display().to_string()),
            ("admin.port", gateway.admin.to_string()),
            ("cluster.leader.clientId", CREDENTIALS.0.to_owned()),
            ("cluster.leader.clientSecret", CREDENTIALS.1.to_owned()),
        ];
        let settings =
            settings.iter().flat_map(|(key, value)| ["--set".to_owned(), format!("{key}={value}")]);
        let child = Command::new(binary())
            .args(["leader", "--kubernetes"])
            .args(settings)
            .env("KUBECONFIG", kubeconfig)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let leader = Self(child);
        until("the leader is ready", || {
            get(gateway.admin, "/ready").ok().filter(|answer| answer.status == 200)
        });
        Ok(leader)
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn binary() -> PathBuf {
    std::env::var_os("KOMAINU_BIN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/komainu"), PathBuf::from)
}

fn serves(worker: &Gateway) -> Option<()> {
    let name = get(worker.port, "/hello").ok()?.json()["name"].clone();
    (name == "one" || name == "two").then_some(())
}

static MEASURING: RwLock<()> = RwLock::new(());

/// Held by a test that measures nothing, as others may run beside it.
fn beside_others() -> RwLockReadGuard<'static, ()> {
    MEASURING.read().unwrap_or_else(PoisonError::into_inner)
}

/// Held by a test that measures: each of these starts an API server, and a machine may have two cores.
fn alone() -> RwLockWriteGuard<'static, ()> {
    MEASURING.write().unwrap_or_else(PoisonError::into_inner)
}

/// An API server with the definitions.
fn server() -> anyhow::Result<(ApiServer, Kubectl)> {
    let server = ApiServer::start()?;
    let kubectl = server.kubectl();
    kubectl.must_with(&crds::to_yaml(), &["apply", "--server-side", "-f", "-"])?;
    kubectl.must(&["wait", "--for=condition=Established", "--timeout=30s", "crd/backends.komainu.dev"])?;
    kubectl.must(&["wait", "--for=condition=Established", "--timeout=30s", "crd/routes.komainu.dev"])?;
    Ok((server, kubectl))
}

#[test]
fn what_is_applied_is_served_also_without_the_api_server() -> anyhow::Result<()> {
    let _others = beside_others();
    let (mut server, kubectl) = server()?;
    let folder = tempfile::tempdir()?;
    let (_first, one) = Program::echo("one", folder.path());
    let (_second, two) = Program::echo("two", folder.path());
    let gateway = Gateway::bare_leader(folder.path());
    let kubeconfig = server.kubeconfig(User::Admin);
    let leader = Leader::start(&gateway, &kubeconfig, folder.path())?;
    let worker = Gateway::worker(folder.path(), "worker", &gateway);
    let _worker = worker.start_ready();

    let hello = HELLO.replace("9101", &one.to_string()).replace("9102", &two.to_string());
    kubectl.apply(&format!("{hello}---\n{REFUSED}"))?;
    kubectl.must(&["wait", "--for=condition=Programmed", "--timeout=30s", "backend/hello", "route/hello"])?;
    assert_eq!(serves(&worker), Some(()), "what is programmed is served");
    kubectl.must(&["wait", "--for=condition=Accepted=False", "--timeout=30s", "backend/refused"])?;

    server.stop_apiserver();
    drop(leader);
    let _leader = Leader::start(&gateway, &kubeconfig, folder.path())?;
    // It has no disk to serve from, so what it serves is what the restarted leader has.
    let fresh = Gateway::worker(folder.path(), "fresh", &gateway);
    let _fresh = fresh.start_ready();
    until("a fresh worker serves", || serves(&fresh));
    assert_eq!(serves(&worker), Some(()));
    Ok(())
}

const PODS: &str = "
apiVersion: v1
kind: Service
metadata: {name: pods}
spec: {ports: [{port: 80}]}
---
apiVersion: komainu.dev/v1alpha1
kind: Backend
metadata: {name: pods}
spec: {targets: [{service: {name: pods, port: 80}}]}
---
apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {name: pods}
spec: {matches: [{paths: [{value: /pods}]}], backends: [{ref: {name: pods}}]}
";

/// From the request that writes the slice to the last request at a pod, with traffic all the time.
#[test]
fn a_pod_that_ends_gets_no_request_after_100_ms() -> anyhow::Result<()> {
    let _alone = alone();
    let (server, kubectl) = server()?;
    let folder = tempfile::tempdir()?;
    let (ends, stays) = (Pod::start()?, Pod::start()?);
    kubectl.apply(&[PODS, &ends.slice("ends"), &stays.slice("stays")].concat())?;
    let gateway = Gateway::bare_leader(folder.path());
    let kubeconfig = server.kubeconfig(User::Admin);
    let _leader = Leader::start(&gateway, &kubeconfig, folder.path())?;
    let worker = Gateway::worker(folder.path(), "worker", &gateway);
    let _worker = worker.start_ready();
    kubectl.must(&["wait", "--for=condition=Programmed", "--timeout=30s", "backend/pods", "route/pods"])?;

    operator_kubernetes::install_crypto_provider();
    let runtime = tokio::runtime::Runtime::new()?;
    let client = runtime.block_on(operator_kubernetes::connect(Some(&kubeconfig)))?;
    let load = Load::start(worker.port, &["/pods"], 4, Duration::from_millis(1));
    let mut took = Vec::new();
    for _ in 0..10 {
        let before = (ends.requests(), stays.requests());
        until("both get requests", || {
            (ends.requests() > before.0 + 20 && stays.requests() > before.1 + 20).then_some(())
        });
        let written = Instant::now();
        runtime.block_on(
            client.request_text(ends.conditions("ends", "ready: false, serving: true, terminating: true")?),
        )?;
        let seen = load.served();
        until("many requests later", || (load.served() > seen + 500).then_some(()));
        let last = ends.last_request().unwrap_or(written);
        took.push(last.saturating_duration_since(written));
        runtime.block_on(
            client.request_text(ends.conditions("ends", "ready: true, serving: true, terminating: false")?),
        )?;
    }
    let report = load.stop();
    assert_eq!(report.failures, Vec::<String>::new(), "{report:?}");
    took.sort_unstable();
    let [median, most] =
        [took.len() / 2, took.len() - 1].map(|index| took.get(index).copied().unwrap_or_default());
    figure("slice_to_last_request_ms_median", median.as_millis());
    figure("slice_to_last_request_ms_most", most.as_millis());
    assert!(most <= Duration::from_millis(100), "{took:?}");
    Ok(())
}

/// Checked ten times a second.
fn checked(ports: &[u16]) -> String {
    let target = |port: &u16| format!("{{hostname: 127.0.0.1, port: {port}}}");
    let targets = ports.iter().map(target).collect::<Vec<_>>().join(", ");
    format!(
        "
apiVersion: komainu.dev/v1alpha1
kind: Backend
metadata: {{name: users}}
spec:
  targets: [{targets}]
  healthCheck: {{enabled: true, url: /status/200, interval: 100ms, timeout: 1s}}
---
apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {{name: users}}
spec:
  matches: [{{paths: [{{value: /users}}]}}]
  backends: [{{ref: {{name: users}}}}]
"
    )
}

/// Waits until `kubectl get` prints a row that begins so; how long that took.
fn prints(kubectl: &Kubectl, kind: &str, expected: &[&str]) -> Duration {
    let ((), took) = until(&format!("{kind} are printed as {expected:?}"), || {
        let printed = kubectl.must(&["get", kind, "--no-headers"]).ok()?;
        let words: Vec<_> = printed.split_whitespace().collect();
        words.get(..expected.len()).is_some_and(|words| words == expected).then_some(())
    });
    took
}

/// By a worker that checks targets, and processes as targets that come and go.
#[test]
fn targets_that_go_and_come_back_are_seen_by_kubectl() -> anyhow::Result<()> {
    let _others = beside_others();
    let (server, kubectl) = server()?;
    let folder = tempfile::tempdir()?;
    let (mut first, one) = Program::echo("one", folder.path());
    let (mut second, two) = Program::echo("two", folder.path());
    let gateway = Gateway::bare_leader(folder.path());
    let _leader = Leader::start(&gateway, &server.kubeconfig(User::Admin), folder.path())?;
    let _worker = Gateway::worker(folder.path(), "worker", &gateway).start_ready();

    kubectl.apply(&checked(&[one, two]))?;
    kubectl.must(&["wait", "--for=condition=Ready", "--timeout=30s", "backend/users", "route/users"])?;
    prints(&kubectl, "backends", &["users", "2/2", "AllTargetsHealthy", "RoundRobin", "1"]);
    first.kill();
    prints(&kubectl, "backends", &["users", "1/2", "Degraded"]);
    second.kill();
    prints(&kubectl, "backends", &["users", "0/2", "NoHealthyTargets"]);
    prints(&kubectl, "routes", &["users", "/users", "users", "True", "False"]);
    let _first = Program::echo_at("one", one, folder.path());
    let _second = Program::echo_at("two", two, folder.path());
    prints(&kubectl, "backends", &["users", "2/2", "AllTargetsHealthy"]);
    prints(&kubectl, "routes", &["users", "/users", "users", "True", "True"]);
    Ok(())
}

/// As when a Deployment is scaled to nothing and back: what is shown follows what the spec says within two seconds.
#[test]
fn targets_that_are_taken_away_and_put_back_are_shown_within_two_seconds() -> anyhow::Result<()> {
    let _alone = alone();
    let (server, kubectl) = server()?;
    let folder = tempfile::tempdir()?;
    let echoes: Vec<_> = ["one", "two", "three"].map(|name| Program::echo(name, folder.path())).into();
    let ports: Vec<u16> = echoes.iter().map(|(_, port)| *port).collect();
    let gateway = Gateway::bare_leader(folder.path());
    let _leader = Leader::start(&gateway, &server.kubeconfig(User::Admin), folder.path())?;
    let _worker = Gateway::worker(folder.path(), "worker", &gateway).start_ready();
    kubectl.apply(&checked(&ports))?;
    prints(&kubectl, "backends", &["users", "3/3", "AllTargetsHealthy"]);
    let mut longest = Duration::ZERO;
    for (count, health) in [(1, "AllTargetsHealthy"), (0, "NoHealthyTargets"), (3, "AllTargetsHealthy")] {
        kubectl.apply(&checked(ports.get(..count).unwrap_or_default()))?;
        let ready = format!("{count}/{count}");
        longest = longest.max(prints(&kubectl, "backends", &["users", &ready, health]));
    }
    assert!(longest < Duration::from_secs(2), "it took {longest:?}");
    Ok(())
}
