//! The life of a release: what an upgrade changes, and what it and an uninstall leave alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use e2e::kube::{ApiServer, Kubectl, User};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Helm as the administrator, in the namespace of the release.
struct Helm {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Helm {
    fn new(server: &ApiServer) -> anyhow::Result<Self> {
        let built =
            Command::new(root().join("e2e/tools/helm")).output().context("can't run e2e/tools/helm")?;
        ensure!(built.status.success(), "e2e/tools/helm: {}", String::from_utf8_lossy(&built.stderr));
        let program = PathBuf::from(String::from_utf8(built.stdout)?.trim());
        Ok(Self { program, kubeconfig: server.kubeconfig(User::Admin) })
    }

    fn must(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let ran = Command::new(&self.program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(["--namespace", "gateway"])
            .args(arguments)
            .output()?;
        ensure!(
            ran.status.success(),
            "helm {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&ran.stderr)
        );
        Ok(())
    }
}

/// A chart of an earlier version, whose Routes have another short name.
fn earlier_chart(folder: &Path) -> anyhow::Result<PathBuf> {
    let chart = folder.join("komainu");
    let copied = Command::new("cp").arg("-r").arg(root().join("charts/komainu")).arg(&chart).status()?;
    ensure!(copied.success(), "can't copy the chart");
    let routes = chart.join("files/crds/routes.yaml");
    let definition = fs::read_to_string(&routes)?;
    ensure!(definition.contains("    - krt\n"), "the short name of Routes is written in another way");
    fs::write(routes, definition.replace("    - krt\n", "    - earlier\n"))?;
    Ok(chart)
}

fn short_names(kubectl: &Kubectl) -> anyhow::Result<String> {
    kubectl.must(&["get", "crd", "routes.komainu.dev", "-o", "jsonpath={.spec.names.shortNames}"])
}

fn secrets(kubectl: &Kubectl) -> anyhow::Result<String> {
    let names = ["komainu-credentials", "komainu-leader-tls"];
    let arguments = ["get", "secret", names[0], names[1], "-o", "jsonpath={.items[*].data}"];
    kubectl.must(&arguments)
}

#[test]
fn an_upgrade_brings_definitions_and_keeps_secrets_and_an_uninstall_keeps_routes() -> anyhow::Result<()> {
    let server = ApiServer::start()?;
    let (helm, kubectl) = (Helm::new(&server)?, server.kubectl().within("gateway"));
    let folder = tempfile::tempdir()?;
    let (earlier, chart) = (earlier_chart(folder.path())?, root().join("charts/komainu"));
    let (earlier, chart) = (earlier.to_string_lossy(), chart.to_string_lossy());

    helm.must(&["install", "komainu", &earlier, "--create-namespace"])?;
    assert_eq!(short_names(&kubectl)?, r#"["earlier"]"#);
    let made = secrets(&kubectl)?;
    assert!(made.contains("clientSecret") && made.contains("tls.key"), "{made}");

    helm.must(&["upgrade", "komainu", &chart, "--set", "worker.drain.timeoutSeconds=60"])?;
    assert_eq!(short_names(&kubectl)?, r#"["krt"]"#);
    assert_eq!(secrets(&kubectl)?, made, "who has the credentials keeps them");
    let grace = "jsonpath={.spec.template.spec.terminationGracePeriodSeconds}";
    assert_eq!(kubectl.must(&["get", "daemonset", "komainu-worker", "-o", grace])?, "75");

    kubectl.must(&["wait", "--for=condition=Established", "--timeout=30s", "crd/routes.komainu.dev"])?;
    kubectl.apply(include_str!("../../../examples/kubernetes/hello.yaml"))?;
    helm.must(&["uninstall", "komainu"])?;
    assert!(!kubectl.run(&["get", "statefulset", "komainu-leader"])?.is_success, "it is gone");
    kubectl.must(&["get", "route.komainu.dev/hello", "backend.komainu.dev/hello"])?;
    helm.must(&["install", "komainu", &chart])?;
    kubectl.must(&["get", "route.komainu.dev/hello", "statefulset/komainu-leader"])?;
    Ok(())
}
