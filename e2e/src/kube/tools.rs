use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};

/// Names the version, as the script that builds the programs reads it.
const MODULE: &str = include_str!("../../tools/modules/kubernetes/go.mod");

/// The path of a program that `make tools` builds.
pub(super) fn program(name: &str) -> anyhow::Result<PathBuf> {
    let path = folder()?.join(name);
    ensure!(
        path.is_file(),
        "{name} isn't built yet: run `make tools` (it needs Go 1.25 or newer and some minutes); looked for {}",
        path.display()
    );
    Ok(path)
}

/// The same folder as `e2e/tools/kubernetes --where` prints.
fn folder() -> anyhow::Result<PathBuf> {
    let cache = match env::var_os("KOMAINU_CACHE") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(env::var_os("HOME").context("neither KOMAINU_CACHE nor HOME is set")?)
            .join(".cache/komainu"),
    };
    Ok(cache.join(format!("kube-{}", version()?)).join("bin"))
}

fn version() -> anyhow::Result<&'static str> {
    let lines = MODULE.lines().map(|line| line.trim().trim_start_matches("require "));
    let mut versions = lines.filter_map(|line| line.strip_prefix("k8s.io/kubernetes v"));
    let version = versions.next().context("e2e/tools/modules/kubernetes/go.mod names no version")?;
    Ok(version.split_whitespace().next().unwrap_or(version))
}
