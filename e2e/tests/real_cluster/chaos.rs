//! What must not be noticed by clients of routes that nobody changes.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::cluster::Space;
use e2e::process::{Gateway, Load, figure};
use serde_json::Value;

use crate::site::{NAMESPACE, Site};
use crate::truth::route_to_hello;

const PATIENCE: Duration = Duration::from_secs(120);
pub(crate) const LEADERS: &str = "app.kubernetes.io/component=leader";
pub(crate) const PATHS: [&str; 2] = ["/hello", "/inline"];

/// How long the API server is away: by `OUTAGE=60` in the environment so many seconds.
fn outage() -> Duration {
    let seconds = std::env::var("OUTAGE").map_or(10, |text| text.parse().expect("OUTAGE is a number"));
    Duration::from_secs(seconds)
}

/// Does this under load through the Service; not one request may fail.
pub(crate) fn unnoticed(
    site: &Site,
    name: &str,
    doing: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    under_load(site, name, &PATHS, |_| doing())
}

/// The same with other paths, and for what looks at the load.
pub(crate) fn under_load(
    site: &Site,
    name: &str,
    paths: &[&str],
    doing: impl FnOnce(&Load) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let load = site.load(paths, 8)?;
    served_on(&load, 100)?;
    doing(&load)?;
    // What comes late is noticed, too.
    served_on(&load, 500)?;
    let report = load.stop();
    figure(&format!("{name}_failed"), report.failures.len());
    figure(&format!("{name}_requests"), report.requests);
    ensure!(report.failures.is_empty(), "{report:?}");
    Ok(())
}

/// Waits until so many more requests have been served.
pub(crate) fn served_on(load: &Load, more: u64) -> anyhow::Result<()> {
    let (begun, until) = (std::time::Instant::now(), load.served() + more);
    while load.served() < until {
        ensure!(begun.elapsed() < PATIENCE, "{} of {until} requests served", load.served());
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

pub(crate) fn the_holder_of_the_lease_is_killed(site: &Site) -> anyhow::Result<()> {
    unnoticed(site, "holder_killed", || {
        kill(&pod_of_holder(site)?)?;
        // It may come back as the holder: what counts is that somebody writes.
        programmed_anew(site, "after-holder")
    })
}

pub(crate) fn all_leaders_are_killed(site: &Site) -> anyhow::Result<()> {
    unnoticed(site, "leaders_killed", || {
        site.pods(LEADERS)?.iter().try_for_each(kill)?;
        site.rolled_out("statefulset/komainu-leader")?;
        programmed_anew(site, "after-leaders")
    })
}

pub(crate) fn the_api_server_is_away_and_workers_start(site: &Site) -> anyhow::Result<()> {
    let [one, two] = site.workers()?.try_into().map_err(|all| anyhow::anyhow!("two workers: {all:?}"))?;
    let through_service = site.load(&PATHS, 4)?;
    let through_other = site.load_at(&one, &PATHS, 4);
    let pods = site.pods("app.kubernetes.io/component=worker")?;
    let pod =
        pods.iter().find(|pod| pod["metadata"]["name"] == two.pod.as_str()).context("the worker's pod")?;
    let folder = tempfile::tempdir()?;
    let extra = extra_worker(site, folder.path())?;
    site.kubernetes.stop_apiserver()?;
    let away = std::time::Instant::now();
    kill(pod)?;
    // The kubelet starts the container again without the API server, and the leaders know the token of its pod.
    site.serves(&two, "/hello")?;
    let extra_program = Space::Node(1).within(|| extra.start_ready())?;
    while away.elapsed() < outage() {
        served_on(&through_other, 10)?;
    }
    site.kubernetes.start_apiserver()?;
    programmed_anew(site, "after-outage")?;
    // The node controller may have called all pods unready meanwhile, until the kubelets say otherwise.
    let (back, mut unready) = (std::time::Instant::now(), 0);
    while back.elapsed() < outage() {
        served_on(&through_other, 10)?;
        unready = unready.max(unready_endpoints(site)?);
    }
    site.kubernetes.kubectl(&["wait", "--for=condition=Ready", "--timeout=180s", "node", "--all"])?;
    for namespace in ["default", NAMESPACE] {
        let all =
            ["wait", "--for=condition=Ready", "--timeout=180s", "pod", "--all", "--namespace", namespace];
        site.kubernetes.kubectl(&all)?;
    }
    figure("outage_unready_endpoints", unready);
    drop(extra_program);
    let (service, other) = (through_service.stop(), through_other.stop());
    figure("outage_other_worker_failed", other.failures.len());
    figure("outage_service_failed", service.failures.len());
    ensure!(other.failures.is_empty(), "{other:?}");
    Ok(())
}

pub(crate) fn the_workers_are_rolled(site: &Site) -> anyhow::Result<()> {
    unnoticed(site, "workers_rolled", || {
        let restart = ["rollout", "restart", "daemonset/komainu-worker", "--namespace", NAMESPACE];
        site.kubernetes.kubectl(&restart)?;
        site.rolled_out("daemonset/komainu-worker")
    })
}

pub(crate) fn a_backend_of_twenty_pods_is_rolled(site: &Site) -> anyhow::Result<()> {
    site.kubernetes.kubectl(&["scale", "deployment/echo", "--replicas=20"])?;
    let status = ["rollout", "status", "deployment/echo", "--timeout=180s"];
    site.kubernetes.kubectl(&status)?;
    unnoticed(site, "backend_rolled", || {
        site.kubernetes.kubectl(&["rollout", "restart", "deployment/echo"])?;
        site.kubernetes.kubectl(&status).map(|_| ())
    })?;
    site.kubernetes.kubectl(&["scale", "deployment/echo", "--replicas=2"])?;
    site.kubernetes.kubectl(&status).map(|_| ())
}

pub(crate) fn the_secret_of_the_credentials_is_deleted(site: &Site) -> anyhow::Result<()> {
    unnoticed(site, "secret_deleted", || {
        let secret = ["delete", "secret", "komainu-credentials", "--namespace", NAMESPACE];
        site.kubernetes.kubectl(&secret)?;
        // Also with leaders and workers that start without it.
        site.pods(LEADERS)?.iter().try_for_each(kill)?;
        site.rolled_out("statefulset/komainu-leader")?;
        let restart = ["rollout", "restart", "daemonset/komainu-worker", "--namespace", NAMESPACE];
        site.kubernetes.kubectl(&restart)?;
        site.rolled_out("daemonset/komainu-worker")?;
        programmed_anew(site, "after-secret")
    })
}

/// How many endpoints of the upstreams' Services are called unready.
fn unready_endpoints(site: &Site) -> anyhow::Result<usize> {
    let slices = site.kubernetes.get(&["endpointslices", "--namespace", "default"])?;
    let slices = slices["items"].as_array().context("a list")?.iter();
    let endpoints = slices.filter_map(|slice| slice["endpoints"].as_array()).flatten();
    Ok(endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == false).count())
}

/// A Route that is applied now is programmed, which takes a leader that writes and all workers.
pub(crate) fn programmed_anew(site: &Site, name: &str) -> anyhow::Result<()> {
    site.kubernetes.apply(&route_to_hello(name))?;
    let route = format!("route/{name}");
    site.kubernetes.kubectl(&["wait", "--for=condition=Programmed", "--timeout=60s", &route])?;
    site.kubernetes.kubectl(&["delete", &route]).map(|_| ())
}

/// One that is about to end, as its node was taken from it, is about to give the Lease back.
fn pod_of_holder(site: &Site) -> anyhow::Result<Value> {
    let begun = std::time::Instant::now();
    loop {
        let holder = holder(site)?;
        let mut leaders = site.pods(LEADERS)?.into_iter();
        if let Some(pod) = leaders.find(|pod| pod["metadata"]["name"] == holder.as_str()) {
            return Ok(pod);
        }
        ensure!(begun.elapsed() < PATIENCE, "{holder:?} holds the Lease, and has no pod that stays");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn holder(site: &Site) -> anyhow::Result<String> {
    let path = "jsonpath={.spec.holderIdentity}";
    site.kubernetes.kubectl(&["get", "lease", "komainu-leader", "--namespace", NAMESPACE, "-o", path])
}

/// SIGKILL for the process in a pod's container, as the kernel sends it to one that takes too much memory.
fn kill(pod: &Value) -> anyhow::Result<()> {
    let uid = pod["metadata"]["uid"].as_str().context("a pod's uid")?;
    let is_its = |process: &std::path::Path| {
        let read = |name: &str| std::fs::read_to_string(process.join(name)).unwrap_or_default();
        read("cgroup").contains(uid) && read("cmdline").starts_with("/komainu")
    };
    let (begun, mut found) = (std::time::Instant::now(), Vec::new());
    // It may have been killed just before, and be about to start again.
    while found.is_empty() {
        ensure!(begun.elapsed() < PATIENCE, "no process of pod {uid}");
        std::thread::sleep(Duration::from_millis(5));
        let processes = std::fs::read_dir("/proc")?.filter_map(|entry| Some(entry.ok()?.path()));
        found = processes.filter(|process| is_its(process)).collect();
    }
    for process in found {
        let number = process.file_name().context("a number")?;
        let killed = std::process::Command::new("kill").arg("-KILL").arg(number).status()?;
        ensure!(killed.success(), "kill {number:?}");
    }
    Ok(())
}

/// A worker beside the cluster, on a machine that reaches a leader, known by client id and secret.
fn extra_worker(site: &Site, folder: &std::path::Path) -> anyhow::Result<Gateway> {
    let leaders = site.pods(LEADERS)?;
    let leader = leaders.first().and_then(|leader| leader["status"]["podIP"].as_str()).context("a leader")?;
    let field = |name: &str| {
        let template = format!("go-template={{{{index .data \"{name}\" | base64decode}}}}");
        let secret = ["get", "secret", "komainu-credentials", "--namespace", NAMESPACE, "-o", &template];
        site.kubernetes.kubectl(&secret)
    };
    Ok(Gateway::worker_at(folder, "extra", 9000)
        .with("cluster.leader.urls.0", format!("https://{leader}:9000"))
        .with("cluster.leader.clientId", field("clientId")?)
        .with("cluster.leader.clientSecret", field("clientSecret")?)
        // Its certificate is for names that only pods can look up.
        .with("cluster.mtls.enabled", true)
        .with("cluster.mtls.trustAll", true))
}
