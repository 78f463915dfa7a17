use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// A running cluster, removed when it is dropped.
pub struct Kubernetes(());

/// What a command printed, and whether it succeeded.
#[derive(Clone, Debug)]
pub struct Ran {
    pub is_success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Kubernetes {
    /// Starts two nodes that have these images. About ten seconds.
    pub fn start(images: &[PathBuf]) -> anyhow::Result<Self> {
        let arguments: Vec<_> = images.iter().map(|image| image.display().to_string()).collect();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        must("up", "", &arguments)?;
        Ok(Self(()))
    }

    /// Gives all nodes more images.
    pub fn import(&self, images: &[&Path]) -> anyhow::Result<()> {
        let arguments: Vec<_> = images.iter().map(|image| image.display().to_string()).collect();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        must("import", "", &arguments).map(|_| ())
    }

    /// Runs kubectl; its failure isn't an error here.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<Ran> {
        script("kubectl", "", arguments)
    }

    /// Runs kubectl, which must succeed, and gives what it printed.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        must("kubectl", "", arguments)
    }

    /// `kubectl apply -f -`, which must succeed.
    pub fn apply(&self, yaml: &str) -> anyhow::Result<String> {
        must("kubectl", yaml, &["apply", "-f", "-"])
    }

    /// An object, or a list of them, as JSON.
    pub fn get(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let arguments = [&["get", "-o", "json"], arguments].concat();
        Ok(serde_json::from_str(&self.kubectl(&arguments)?)?)
    }

    pub fn stop_apiserver(&self) -> anyhow::Result<()> {
        must("apiserver", "", &["stop"]).map(|_| ())
    }

    /// Starts it again and waits until it is ready.
    pub fn start_apiserver(&self) -> anyhow::Result<()> {
        must("apiserver", "", &["start"]).map(|_| ())
    }

    /// Waits until kubectl with these arguments prints something for which `is_it` holds, and says how long that took.
    pub fn until(
        &self,
        limit: Duration,
        arguments: &[&str],
        is_it: impl Fn(&str) -> bool,
    ) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        loop {
            let ran = self.run(arguments)?;
            if ran.is_success && is_it(&ran.stdout) {
                return Ok(begun.elapsed());
            }
            ensure!(
                begun.elapsed() < limit,
                "not within {limit:?}: kubectl {}: {}{}",
                arguments.join(" "),
                ran.stdout,
                ran.stderr
            );
        }
    }
}

impl Drop for Kubernetes {
    fn drop(&mut self) {
        // Where a test failed, what the pods said is what one wants to read; the cluster is gone afterwards.
        if std::thread::panicking()
            && let Ok(ran) = self.run(&["get", "pods,backends,routes", "-A", "-o", "wide"])
        {
            eprintln!("{}", ran.stdout);
        }
        if std::env::var_os("KEEP_CLUSTER").is_none()
            && let Err(error) = must("down", "", &[])
        {
            eprintln!("{error:#}");
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster")
}

fn script(name: &str, input: &str, arguments: &[&str]) -> anyhow::Result<Ran> {
    run(Command::new(folder().join(name)).args(arguments), input)
}

pub(super) fn must(name: &str, input: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let ran = script(name, input, arguments)?;
    ensure!(ran.is_success, "{name} {}: {}{}", arguments.join(" "), ran.stdout, ran.stderr);
    Ok(ran.stdout)
}

/// Runs a command to its end. What outlives it, as the cluster does, isn't waited for.
pub(super) fn run(command: &mut Command, input: &str) -> anyhow::Result<Ran> {
    let folder = tempfile::tempdir()?;
    let [out, err] = ["stdout", "stderr"].map(|name| folder.path().join(name));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(std::fs::File::create(&out)?)
        .stderr(std::fs::File::create(&err)?)
        .spawn()
        .with_context(|| format!("can't start {command:?}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that doesn't read its input closes it.
        let _ = stdin.write_all(input.as_bytes());
    }
    let status = child.wait()?;
    let text = |path: &Path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(Ran { is_success: status.success(), stdout: text(&out)?, stderr: text(&err)? })
}
