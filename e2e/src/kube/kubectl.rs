use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, ensure};

use super::tools;

/// Numbers the commands of this process.
static COMMANDS: AtomicU64 = AtomicU64::new(0);

/// kubectl as one user.
#[derive(Clone, Debug)]
pub struct Kubectl {
    pub(super) kubeconfig: PathBuf,
    /// Where each command gets a cache of its own: what another one found out before the definitions were there is outdated, and
    /// kubectl doesn't always look again.
    pub(super) caches: PathBuf,
    pub(super) namespace: Option<String>,
}

/// What a kubectl command printed, and whether it succeeded.
#[derive(Clone, Debug)]
pub struct Ran {
    pub is_success: bool,
    pub stdout: String,
    pub stderr: String,
}

/// The versions of an object, as `kubectl get --watch` tells them; ends when it is dropped.
pub struct Watch {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watch {
    fn next(&mut self) -> anyhow::Result<String> {
        Ok(self.lines.next().context("kubectl ended")??)
    }

    /// The versions up to this one.
    pub fn until(&mut self, last: &str) -> anyhow::Result<Vec<String>> {
        let mut versions = Vec::new();
        while versions.last().is_none_or(|version| version != last) {
            versions.push(self.next()?);
        }
        Ok(versions)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Kubectl {
    /// The same in a namespace.
    pub fn within(self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self }
    }

    /// Runs a command; its failure isn't an error here.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<Ran> {
        self.run_with("", arguments)
    }

    /// As [`Self::run`], with `input` to read from `-f -`.
    pub fn run_with(&self, input: &str, arguments: &[&str]) -> anyhow::Result<Ran> {
        let mut child = self
            .command(arguments)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("can't start kubectl")?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that doesn't read its input closes it.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Ran {
            is_success: output.status.success(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        })
    }

    /// Runs a command that must succeed, and gives what it printed.
    pub fn must(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.must_with("", arguments)
    }

    pub fn must_with(&self, input: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let ran = self.run_with(input, arguments)?;
        ensure!(ran.is_success, "kubectl {}: {}{}", arguments.join(" "), ran.stdout, ran.stderr);
        Ok(ran.stdout)
    }

    /// Follows the versions of an object from now on.
    pub fn watch(&self, name: &str) -> anyhow::Result<Watch> {
        let mut child = self
            .command(&["get", name, "--watch", "-o", r#"jsonpath={.metadata.resourceVersion}{"\n"}"#])?
            .stdout(Stdio::piped())
            .spawn()
            .context("can't start kubectl")?;
        let printed = child.stdout.take().context("kubectl has no output")?;
        let mut watch = Watch { child, lines: BufReader::new(printed).lines() };
        // The version that there is: from then on each one is told.
        watch.next()?;
        Ok(watch)
    }

    fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(tools::program("kubectl")?);
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--cache-dir")
            .arg(self.caches.join(COMMANDS.fetch_add(1, Ordering::Relaxed).to_string()))
            .args(self.namespace.iter().flat_map(|namespace| ["--namespace", namespace.as_str()]))
            .args(arguments);
        Ok(command)
    }

    /// `kubectl apply -f -`, which must succeed.
    pub fn apply(&self, yaml: &str) -> anyhow::Result<String> {
        self.must_with(yaml, &["apply", "-f", "-"])
    }

    /// What the API server says against `yaml`; an error if it takes it.
    pub fn refused(&self, yaml: &str) -> anyhow::Result<String> {
        let ran = self.run_with(yaml, &["apply", "-f", "-"])?;
        ensure!(!ran.is_success, "it was taken: {}", ran.stdout);
        Ok(ran.stderr)
    }
}
