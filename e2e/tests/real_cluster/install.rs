use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::process::figure;

use crate::chaos::holder;
use crate::site::{NAMESPACE, Site, get};

/// From when the pods are up, the gateway's and the upstreams', on a machine that may be busy. The figure is judged by the 5 s that it
/// should take, where nothing else runs.
const READY_WITHIN: Duration = Duration::from_secs(20);

pub(crate) fn examples_are_ready_and_served_by_both_workers(site: &Site) -> anyhow::Result<()> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/kubernetes");
    let examples = examples.display().to_string();
    site.kubernetes.kubectl(&["apply", "-f", &examples])?;
    for deployment in ["echo", "echo-next"] {
        site.kubernetes.kubectl(&[
            "rollout",
            "status",
            &format!("deployment/{deployment}"),
            "--timeout=120s",
        ])?;
    }
    // What is measured is the gateway, and not how long a pod takes to start.
    let begun = Instant::now();
    let wait =
        ["wait", "--for=condition=Ready", "--timeout=60s", "routes", "--all", "--namespace", "default"];
    site.kubernetes.kubectl(&wait)?;
    let took = begun.elapsed();
    figure("routes_ready_s", format_args!("{:.2}", took.as_secs_f64()));
    let workers = site.workers()?;
    ensure!(workers.len() == 2, "{workers:?}");
    for worker in &workers {
        for path in ["/hello", "/inline", "/canary"] {
            site.serves(worker, path)?;
        }
    }
    figure("workers_serving", workers.len());
    ensure!(took < READY_WITHIN, "the routes took {took:?} to be ready");
    Ok(())
}

/// A name is looked up by the worker that is linked statically, in an image that has nothing but it.
pub(crate) fn names_of_services_resolve_in_the_image(site: &Site) -> anyhow::Result<()> {
    site.kubernetes.apply(
        "
apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {name: by-name}
spec:
  matches: [{paths: [{value: /by-name}]}]
  backends: [{inline: {targets: [{hostname: echo.default.svc.cluster.local, port: 80}]}}]
---
apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {name: by-short-name}
spec:
  matches: [{paths: [{value: /by-short-name}]}]
  backends: [{inline: {targets: [{hostname: echo.default, port: 80}]}}]
",
    )?;
    for worker in site.workers()? {
        site.serves(&worker, "/by-name")?;
        site.serves(&worker, "/by-short-name")?;
    }
    Ok(())
}

/// Each node is in a zone of its own, as its labels say; no setting does.
pub(crate) fn workers_know_the_zones_of_their_nodes(site: &Site) -> anyhow::Result<()> {
    site.kubernetes.apply(
        "
apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {name: zoned}
spec:
  matches: [{paths: [{value: /zoned}]}]
  backends:
    - inline:
        targets:
          - hostname: echo.default.svc.cluster.local
            port: 80
            predicate: {type: NetworkLocationMatch, region: region-1, zone: zone-1}
",
    )?;
    site.kubernetes.kubectl(&["wait", "--for=condition=Programmed", "--timeout=60s", "route/zoned"])?;
    for worker in site.workers()? {
        if worker.node == "node1" {
            site.serves(&worker, "/zoned")?;
        } else {
            let answer = get(worker.listens(), "/zoned")?;
            ensure!(answer.status == 503, "{}: {answer:?}", worker.pod);
        }
    }
    Ok(())
}

/// As the documentation says to look at them.
pub(crate) fn all_members_are_green(site: &Site) -> anyhow::Result<()> {
    let holder = holder(site)?;
    let members = ["exec", &holder, "--namespace", NAMESPACE, "--", "/komainu", "members"];
    let settings = ["--config", "/etc/komainu/settings.yaml", "--leader", "https://localhost:9000"];
    let workers = site.workers()?;
    let is_green = |shown: &str| {
        shown.lines().skip(1).all(|line| line.starts_with("green"))
            && workers.iter().all(|worker| shown.contains(&worker.pod))
    };
    site.kubernetes.until(READY_WITHIN, &[&members[..], &settings].concat(), is_green)?;
    Ok(())
}
