//! Leader and worker as processes, with a real API server: what is applied is served, and keeps being served without it.
#![expect(clippy::indexing_slicing, reason = "a field that JSON lacks is null")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use e2e::kube::{ApiServer, User};
use e2e::process::{CREDENTIALS, Gateway, Program, get, until};

const HELLO: &str = include_str!("../../examples/quickstart/hello.yaml");
const REFUSED: &str = include_str!("../../examples/quickstart/refused.yaml");

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
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/ci/komainu"), PathBuf::from)
}

fn serves(worker: &Gateway) -> Option<()> {
    let name = get(worker.port, "/hello").ok()?.json()["name"].clone();
    (name == "one" || name == "two").then_some(())
}

#[test]
fn what_is_applied_is_served_also_without_the_api_server() -> anyhow::Result<()> {
    let mut server = ApiServer::start()?;
    let kubectl = server.kubectl();
    kubectl.must_with(&crds::to_yaml(), &["apply", "--server-side", "-f", "-"])?;
    kubectl.must(&["wait", "--for=condition=Established", "--timeout=30s", "crd/backends.komainu.dev"])?;
    kubectl.must(&["wait", "--for=condition=Established", "--timeout=30s", "crd/routes.komainu.dev"])?;
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
