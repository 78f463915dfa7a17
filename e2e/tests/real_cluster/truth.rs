use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::cluster::Space;
use e2e::process::figure;
use serde_json::Value;

use crate::site::{NAMESPACE, Site, Worker};

const PATIENCE: Duration = Duration::from_secs(60);

fn route(name: &str, more: &str) -> String {
    format!(
        "
apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {{name: {name}}}
spec:
  matches: [{{paths: [{{value: /{name}}}]}}]
  {more}
---
"
    )
}

const TO_HELLO: &str = "backends: [{ref: {name: hello}}]";

/// A Route of everything below its name to the Backend of the examples.
pub(crate) fn route_to_hello(name: &str) -> String {
    route(name, TO_HELLO)
}

/// A worker that its leaders don't hear, while everybody else reaches it: what a broken link between two nodes does.
struct Cut(Worker);

impl Cut {
    fn of(worker: &Worker, site: &Site) -> anyhow::Result<Self> {
        let leaders = site.pods("app.kubernetes.io/component=leader")?;
        for leader in &leaders {
            let address = leader["status"]["podIP"].as_str().context("the address of a leader")?;
            rule("--insert", worker, address)?;
        }
        Ok(Self(worker.clone()))
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        let _ = iptables(&self.0, &["--flush", "KOMAINU-CUT"]);
    }
}

/// On the worker's node, what goes between the worker and this address is dropped.
fn rule(action: &str, worker: &Worker, leader: &str) -> anyhow::Result<()> {
    let own = worker.address.to_string();
    // The first time there is no such chain.
    if iptables(worker, &["--new-chain", "KOMAINU-CUT"]).is_ok() {
        iptables(worker, &["--insert", "FORWARD", "--jump", "KOMAINU-CUT"])?;
    }
    iptables(worker, &[action, "KOMAINU-CUT", "--source", &own, "--destination", leader, "--jump", "DROP"])
}

fn iptables(worker: &Worker, arguments: &[&str]) -> anyhow::Result<()> {
    let number = worker.node.trim_start_matches("node").parse()?;
    Space::Node(number).within(|| {
        let ran = std::process::Command::new("iptables").args(["--wait"]).args(arguments).output()?;
        ensure!(ran.status.success(), "iptables {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        Ok(())
    })?
}

pub(crate) fn a_worker_that_is_cut_off_is_waited_for_and_named(site: &Site) -> anyhow::Result<()> {
    let [_, worker] = site.workers()?.try_into().map_err(|all| anyhow::anyhow!("two workers: {all:?}"))?;
    let cut = Cut::of(&worker, site)?;
    site.kubernetes.apply(&route("cut", TO_HELLO))?;
    let condition = condition("cut", "Programmed");
    let condition: Vec<_> = condition.iter().map(String::as_str).collect();
    let expected = format!("False WorkerLost 1/2; worker {}", worker.pod);
    site.kubernetes.until(PATIENCE, &condition, |text| text.starts_with(&expected))?;
    // It is ready, as it serves what it has.
    site.serves(&worker, "/hello")?;
    drop(cut);
    let healed = site.kubernetes.until(PATIENCE, &condition, |text| text.starts_with("True Programmed"))?;
    figure("healed_s", format_args!("{:.1}", healed.as_secs_f64()));
    site.serves(&worker, "/cut")?;
    Ok(())
}

pub(crate) fn scaling_workers_flips_nothing(site: &Site) -> anyhow::Result<()> {
    let before = transitions(site)?;
    // A node that no worker may be on, and back.
    let taint = |mark: &str| format!("komainu.dev/e2e=none:NoExecute{mark}");
    site.kubernetes.kubectl(&["taint", "node", "node2", &taint("")])?;
    let count = [
        "get",
        "daemonset",
        "komainu-worker",
        "--namespace",
        NAMESPACE,
        "-o",
        "jsonpath={.status.numberReady}",
    ];
    site.kubernetes.until(PATIENCE, &count, |ready| ready == "1")?;
    site.kubernetes.kubectl(&["taint", "node", "node2", &taint("-")])?;
    site.kubernetes.until(PATIENCE, &count, |ready| ready == "2")?;
    site.rolled_out("daemonset/komainu-worker")?;
    // What else was there.
    site.rolled_out("statefulset/komainu-leader")?;
    // A new Route, which is programmed when both workers have it, comes after all that there was to say.
    site.kubernetes.apply(&route("scaled", TO_HELLO))?;
    site.kubernetes.kubectl(&["wait", "--for=condition=Programmed", "--timeout=60s", "route/scaled"])?;
    site.kubernetes.kubectl(&["delete", "route", "scaled"])?;
    let after = transitions(site)?;
    ensure!(before == after, "{before:?} became {after:?}");
    Ok(())
}

/// Of each Route, when Programmed became what it is.
pub(crate) fn transitions(site: &Site) -> anyhow::Result<Vec<(String, Value)>> {
    let list = site.kubernetes.get(&["routes.komainu.dev"])?;
    let routes = list["items"].as_array().context("a list")?.iter();
    let of = |route: &Value| {
        let conditions = route["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let programmed = conditions.into_iter().find(|one| one["type"] == "Programmed").unwrap_or_default();
        (
            route["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
            programmed["lastTransitionTime"].clone(),
        )
    };
    Ok(routes.map(of).collect())
}

pub(crate) fn each_mistake_shows_its_reason_and_disturbs_nothing(site: &Site) -> anyhow::Result<()> {
    let load = site.load(&["/hello", "/inline"], 2)?;
    site.kubernetes.run(&["create", "namespace", "other"])?;
    site.kubernetes.apply(
        "
apiVersion: komainu.dev/v1alpha1
kind: Backend
metadata: {name: private, namespace: other}
spec: {targets: [{hostname: 127.0.0.1, port: 9}]}
",
    )?;
    let dangling = route("dangling", "backends: [{ref: {name: nobody}}]");
    let forbidden = route("forbidden", "backends: [{ref: {name: private, namespace: other}}]");
    let regex =
        route("bad-regex", TO_HELLO).replace("{value: /bad-regex}", "{value: '/bad-regex/$id<(unclosed>'}");
    let twins = [route("twin-a", TO_HELLO), route("twin-b", TO_HELLO).replace("/twin-b", "/twin-a")].concat();
    site.kubernetes.apply(&[dangling, forbidden, regex, twins].concat())?;
    for (name, type_, expected) in [
        ("dangling", "ResolvedRefs", "False BackendNotFound"),
        ("forbidden", "ResolvedRefs", "False RefNotPermitted"),
        ("bad-regex", "Accepted", "False Invalid"),
        ("twin-b", "Overlapping", "True"),
    ] {
        let condition = condition(name, type_);
        let condition: Vec<_> = condition.iter().map(String::as_str).collect();
        site.kubernetes.until(PATIENCE, &condition, |text| text.starts_with(expected))?;
    }
    let wait =
        ["wait", "--for=condition=Ready", "--timeout=60s", "route/hello", "route/inline", "route/twin-a"];
    site.kubernetes.kubectl(&wait)?;
    let report = load.stop();
    ensure!(report.failures.is_empty() && report.requests > 0, "{report:?}");
    let names = ["dangling", "forbidden", "bad-regex", "twin-a", "twin-b"];
    site.kubernetes.kubectl(&[&["delete", "route"][..], &names].concat())?;
    Ok(())
}

/// kubectl's arguments that print a condition of a Route: status, reason and message.
fn condition(route: &str, type_: &str) -> Vec<String> {
    let of = |field: &str| format!("{{.status.conditions[?(@.type==\"{type_}\")].{field}}}");
    let path = format!("jsonpath={} {} {}", of("status"), of("reason"), of("message"));
    ["get", "route.komainu.dev", route, "-o", &path].map(str::to_owned).to_vec()
}
