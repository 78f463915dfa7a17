use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use e2e::cluster::{Helm, Kubernetes, Space};
use e2e::process::{Load, Response, request_at};
use serde_json::Value;

/// Where the gateway is installed.
pub(crate) const NAMESPACE: &str = "komainu";

/// How long a rollout may take on two busy cores.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two requests of a client under load.
const PAUSE: Duration = Duration::from_millis(10);

/// A cluster with the gateway in it, two leaders and a worker on each node, and what upstreams need.
pub(crate) struct Site {
    pub(crate) kubernetes: Kubernetes,
    pub(crate) helm: Helm,
    /// From the end of the rollout on.
    pub(crate) installed: Instant,
}

/// A worker's pod.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    pub(crate) pod: String,
    pub(crate) node: String,
    pub(crate) address: IpAddr,
}

impl Worker {
    /// Where its listener is.
    pub(crate) fn listens(&self) -> SocketAddr {
        SocketAddr::new(self.address, 8080)
    }
}

impl Site {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let image = image()?;
        let helm = Helm::new()?;
        let kubernetes = Kubernetes::start(&[image])?;
        kubernetes.kubectl(&["create", "namespace", NAMESPACE])?;
        // The strictest rules for pods that there are.
        let strict = "pod-security.kubernetes.io/enforce=restricted";
        kubernetes.kubectl(&["label", "namespace", NAMESPACE, strict])?;
        let mut site = Self { kubernetes, helm, installed: Instant::now() };
        site.install(&Helm::chart(), &[])?;
        site.installed = Instant::now();
        Ok(site)
    }

    /// Installs or upgrades, and waits until everything is rolled out.
    pub(crate) fn install(&self, chart: &Path, more: &[&str]) -> anyhow::Result<()> {
        let chart = chart.display().to_string();
        let arguments = ["upgrade", "--install", "komainu", &chart, "--namespace", NAMESPACE];
        self.helm.run(&[&arguments[..], more].concat())?;
        self.rolled_out("statefulset/komainu-leader")?;
        self.rolled_out("daemonset/komainu-worker")
    }

    pub(crate) fn rolled_out(&self, what: &str) -> anyhow::Result<()> {
        let timeout = format!("--timeout={}s", PATIENCE.as_secs());
        self.kubernetes.kubectl(&["--namespace", NAMESPACE, "rollout", "status", what, &timeout]).map(|_| ())
    }

    /// The pods of workers that are to run, in the order of their nodes.
    pub(crate) fn workers(&self) -> anyhow::Result<Vec<Worker>> {
        let list = self.pods("app.kubernetes.io/component=worker")?;
        let mut workers = list.iter().map(worker).collect::<anyhow::Result<Vec<_>>>()?;
        workers.sort_by(|one, other| one.node.cmp(&other.node));
        Ok(workers)
    }

    /// Those in the gateway's namespace with these labels that aren't about to end.
    pub(crate) fn pods(&self, labels: &str) -> anyhow::Result<Vec<Value>> {
        let list = self.kubernetes.get(&["pods", "--namespace", NAMESPACE, "--selector", labels])?;
        let pods = list["items"].as_array().context("a list")?.iter();
        Ok(pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).cloned().collect())
    }

    /// Where the Service of the workers is.
    pub(crate) fn service(&self) -> anyhow::Result<SocketAddr> {
        let service = self.kubernetes.get(&["service", "komainu", "--namespace", NAMESPACE])?;
        let address = service["spec"]["clusterIP"].as_str().context("a cluster IP")?;
        Ok(SocketAddr::new(address.parse()?, 80))
    }

    /// Steady requests through the Service from a node, as its pods would send them.
    pub(crate) fn load(&self, paths: &[&str], connections: usize) -> anyhow::Result<Load> {
        Ok(Load::within(Space::Node(1), self.service()?, paths, connections, PAUSE))
    }

    /// The same of one worker.
    pub(crate) fn load_at(&self, worker: &Worker, paths: &[&str], connections: usize) -> Load {
        Load::within(Space::Node(1), worker.listens(), paths, connections, PAUSE)
    }

    /// Waits until a path is answered with 200 by this worker.
    pub(crate) fn serves(&self, worker: &Worker, path: &str) -> anyhow::Result<Response> {
        let begun = Instant::now();
        loop {
            let answer = get(worker.listens(), path);
            match answer {
                Ok(answer) if answer.status == 200 => return Ok(answer),
                answer => ensure!(begun.elapsed() < PATIENCE, "{} {path}: {answer:?}", worker.pod),
            }
        }
    }

    /// What one wants to read when something failed.
    pub(crate) fn explain(&self) {
        let components =
            ["leader", "worker"].map(|component| format!("app.kubernetes.io/component={component}"));
        let mut commands = vec![
            vec!["get", "pods,services,backends,routes,events", "--all-namespaces", "-o", "wide"],
            vec!["describe", "backends,routes", "--all-namespaces"],
        ];
        for labels in &components {
            commands.push(vec![
                "logs",
                "--namespace",
                NAMESPACE,
                "--prefix",
                "--tail=60",
                "--selector",
                labels,
            ]);
        }
        for command in commands {
            if let Ok(ran) = self.kubernetes.run(&command) {
                println!("--- kubectl {}\n{}{}", command.join(" "), ran.stdout, ran.stderr);
            }
        }
    }
}

/// From the network of a node, from which pods are reached.
pub(crate) fn get(address: SocketAddr, path: &str) -> anyhow::Result<Response> {
    Ok(Space::Node(1).within(|| request_at(address, "GET", path, &[], ""))??)
}

fn worker(pod: &Value) -> anyhow::Result<Worker> {
    let text = |value: &Value| value.as_str().map(str::to_owned).context("a scheduled pod");
    Ok(Worker {
        pod: text(&pod["metadata"]["name"])?,
        node: text(&pod["spec"]["nodeName"])?,
        address: text(&pod["status"]["podIP"])?.parse()?,
    })
}

/// The image of this tree, linked statically as the one that users get, in the profile of all tests.
fn image() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let built =
        Command::new(root.join("image/build")).env("PROFILE", "ci").output().context("image/build")?;
    ensure!(built.status.success(), "image/build: {}", String::from_utf8_lossy(&built.stderr));
    let path = String::from_utf8(built.stdout)?;
    let path = path.trim().lines().last().unwrap_or_default();
    // Below the root, unless the target folder is elsewhere.
    Ok(root.join(path))
}
