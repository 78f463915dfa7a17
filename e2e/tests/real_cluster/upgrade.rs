//! From an earlier version to this one, as docs/upgrade.md says, while clients ask on.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::cluster::{Earlier, Helm};
use e2e::process::figure;
use serde_json::Value;

use crate::chaos::{LEADERS, programmed_anew, unnoticed};
use crate::site::{NAMESPACE, Site};

/// The definitions of the chart, by the files that have them.
const DEFINITIONS: [(&str, &str); 2] =
    [("backends.yaml", "backends.komainu.dev"), ("routes.yaml", "routes.komainu.dev")];

pub(crate) fn from_an_earlier_commit(site: &Site) -> anyhow::Result<()> {
    let earlier = Earlier::make()?;
    site.kubernetes.import(&[&earlier.image])?;
    uninstalled(site)?;
    site.install(&earlier.chart, &["--set", &format!("image.tag={}", earlier.tag)])?;
    examples(site, &earlier.examples)?;
    // What the upgrade has to change; none if there was nothing to be changed in them.
    let older = differing(site)?;
    unnoticed(site, "upgrade", || {
        // An empty tag is that of the chart, as the one of the earlier version would be used on.
        site.install(&Helm::chart(), &["--reset-then-reuse-values", "--set", "image.tag="])?;
        programmed_anew(site, "after-upgrade")
    })?;
    let left = differing(site)?;
    figure("upgrade_definitions_changed", older.len());
    figure("upgrade_definitions_left", left.len());
    ensure!(left.is_empty(), "{left:?} aren't those of the chart");
    for labels in [LEADERS, "app.kubernetes.io/component=worker"] {
        let pods = site.pods(labels)?;
        let is_new = |pod: &Value| {
            let image = pod["spec"]["containers"][0]["image"].as_str();
            image.is_some_and(|image| !image.ends_with(&earlier.tag))
        };
        ensure!(!pods.is_empty() && pods.iter().all(is_new), "{labels}: the earlier image still runs");
    }
    Ok(())
}

/// Takes away what there is, with its definitions and so with all Backends and Routes.
fn uninstalled(site: &Site) -> anyhow::Result<()> {
    let wait = ["--wait", "--cascade", "foreground", "--timeout", "180s"];
    site.helm.run(&[&["uninstall", "komainu", "--namespace", NAMESPACE][..], &wait].concat())?;
    let definitions = DEFINITIONS.map(|(_, name)| name);
    let delete = ["delete", "customresourcedefinitions", "--timeout=60s"];
    site.kubernetes.kubectl(&[&delete[..], &definitions].concat())?;
    let pods = ["get", "pods", "--namespace", NAMESPACE, "-o", "name"];
    site.kubernetes.until(Duration::from_secs(120), &pods, str::is_empty).map(|_| ())
}

fn examples(site: &Site, folder: &Path) -> anyhow::Result<()> {
    let folder = folder.to_str().context("a path in UTF-8")?;
    site.kubernetes.kubectl(&["apply", "-f", folder])?;
    for deployment in ["deployment/echo", "deployment/echo-next"] {
        site.kubernetes.kubectl(&["rollout", "status", deployment, "--timeout=120s"])?;
    }
    let wait = ["wait", "--for=condition=Ready", "--timeout=60s", "routes.komainu.dev", "--all"];
    site.kubernetes.kubectl(&wait).map(|_| ())
}

/// The definitions that aren't as this tree's chart has them: the API server tells what they would become, with its defaults.
fn differing(site: &Site) -> anyhow::Result<Vec<&'static str>> {
    let folder = Helm::chart().join("files/crds");
    let mut differing = Vec::new();
    for (file, name) in DEFINITIONS {
        let file = folder.join(file);
        let file = file.to_str().context("a path in UTF-8")?;
        let replace = ["replace", "--dry-run=server", "-o", "json", "-f", file];
        let wanted: Value = serde_json::from_str(&site.kubernetes.kubectl(&replace)?)?;
        let present = site.kubernetes.get(&["customresourcedefinition", name])?;
        if wanted["spec"] != present["spec"] {
            differing.push(name);
        }
    }
    Ok(differing)
}
