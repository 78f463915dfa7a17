use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;

use super::kubernetes::run;

/// Helm against the cluster.
pub struct Helm(PathBuf);

impl Helm {
    /// The one that `e2e/tools/helm` builds.
    pub fn new() -> anyhow::Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/helm");
        let built = run(&mut Command::new(script), "")?;
        ensure!(built.is_success, "e2e/tools/helm: {}{}", built.stdout, built.stderr);
        Ok(Self(PathBuf::from(built.stdout.trim().lines().last().unwrap_or_default())))
    }

    /// Runs it, which must succeed, and gives what it printed.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/within");
        let ran = run(Command::new(script).arg(&self.0).args(arguments), "")?;
        ensure!(ran.is_success, "helm {}: {}{}", arguments.join(" "), ran.stdout, ran.stderr);
        Ok(ran.stdout)
    }

    /// The chart of this tree.
    pub fn chart() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/komainu")
    }
}
