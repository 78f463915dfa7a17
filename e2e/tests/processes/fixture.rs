use std::path::{Path, PathBuf};

use e2e::process::Program;

/// Two echo upstreams and a folder of resources that send to them.
pub(crate) struct Fixture {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) one: u16,
    pub(crate) two: u16,
    _upstreams: [Program; 2],
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, one) = Program::echo("one", folder.path());
        let (second, two) = Program::echo("two", folder.path());
        std::fs::create_dir(folder.path().join("resources")).expect("a folder of resources");
        Self { folder, one, two, _upstreams: [first, second] }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn resources(&self) -> PathBuf {
        self.path().join("resources")
    }

    /// Writes a file of resources as an editor does: a new file, renamed over the old one.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.resources().join(name);
        let temporary = self.path().join(format!("{name}.new"));
        std::fs::write(&temporary, text).expect("write a resource");
        std::fs::rename(temporary, path).expect("rename a resource");
    }
}

/// A route of this name and path to one target.
pub(crate) fn route(name: &str, path: &str, port: u16) -> String {
    format!(
        "apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {{name: {name}}}
spec:
  matches: [{{paths: [{{value: {path}}}]}}]
  backends: [{{inline: {{targets: [{{hostname: 127.0.0.1, port: {port}}}]}}}}]
"
    )
}
