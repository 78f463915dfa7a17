//! A leader, a worker or both in this process, by what could be typed at its start.

use std::path::Path;
use std::process::ExitCode;
use std::thread::JoinHandle;

use e2e::process::{CREDENTIALS, Response, free_port, get, request, until};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::args::RunArguments;
use crate::settings::{self, Mode, Settings};
use crate::{echo, modes};

pub(super) struct Node {
    pub(super) admin: u16,
    pub(super) port: u16,
    pub(super) folder: TempDir,
    stop: watch::Sender<bool>,
    thread: JoinHandle<anyhow::Result<ExitCode>>,
}

impl Node {
    /// With ports of its own and the credentials of the tests, unless `set` has others.
    pub(super) fn start(mode: Mode, set: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), mode, set)
    }

    /// In a folder that may have been another one's.
    pub(super) fn start_in(folder: TempDir, mode: Mode, set: &[&str]) -> Self {
        let own = [
            format!("dataDirectory={}", folder.path().join("data").display()),
            format!("admin.port={}", free_port()),
            "listeners.0.address=127.0.0.1".to_owned(),
            format!("listeners.0.port={}", free_port()),
            "proxy.threads=1".to_owned(),
            format!("cluster.leader.clientId={}", CREDENTIALS.0),
            format!("cluster.leader.clientSecret={}", CREDENTIALS.1),
        ];
        Self::start_as(folder, mode, own.into_iter().chain(set.iter().map(ToString::to_string)).collect())
    }

    /// With nothing but these settings.
    pub(super) fn start_as(folder: TempDir, mode: Mode, set: Vec<String>) -> Self {
        let arguments = RunArguments { mode: Some(mode), set, ..RunArguments::default() };
        let mut settings: Settings = settings::load(&arguments, []).unwrap().settings;
        settings.cluster.mode = mode;
        let (admin, port) = (settings.admin_port(), settings.listeners[0].port.unwrap());
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::spawn(move || modes::run_until(settings, stopped));
        Self { admin, port, folder, stop, thread }
    }

    /// Both halves and these resources, ready.
    pub(super) fn gateway(resources: &str, set: &[&str]) -> Self {
        Self::with_resources(Mode::Off, resources, set).ready()
    }

    pub(super) fn leader(resources: &str, set: &[&str]) -> Self {
        Self::with_resources(Mode::Leader, resources, set)
    }

    fn with_resources(mode: Mode, resources: &str, set: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let setting = format!("resources={}", write(folder.path(), "resources", resources));
        Self::start_in(folder, mode, &[&[&*setting], set].concat())
    }

    /// A worker of the leader at this port.
    pub(super) fn worker(leader: u16, set: &[&str]) -> Self {
        let url = format!("cluster.leader.urls.0=http://127.0.0.1:{leader}");
        Self::start(Mode::Worker, &[&[&*url], set].concat())
    }

    pub(super) fn ready(self) -> Self {
        until("it is ready", || self.is_ready().then_some(()));
        self
    }

    pub(super) fn is_ready(&self) -> bool {
        assert!(!self.thread.is_finished(), "it ended instead of becoming ready");
        get(self.admin, "/ready").is_ok_and(|answer| answer.status == 200)
    }

    /// Until its answer on `/ready`, where it says why it isn't, has this text.
    pub(super) fn until_says(&self, text: &str) {
        let mut body = String::new();
        until(text, || {
            body = get(self.admin, "/ready").ok()?.body;
            body.contains(text).then_some(())
        });
    }

    pub(super) fn get(&self, path: &str) -> Response {
        get(self.port, path).unwrap()
    }

    /// What its API answers to whoever has the credentials.
    pub(super) fn api(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let headers = [&[("authorization", AUTHORIZATION)], headers].concat();
        request(self.admin, "GET", path, &headers, "").unwrap()
    }

    pub(super) fn ask_to_stop(&self) {
        self.stop.send_replace(true);
    }

    /// With what it ends once it is asked to, and where its files are.
    pub(super) fn end(self) -> (Result<ExitCode, String>, TempDir) {
        self.ask_to_stop();
        let ended = self.thread.join().unwrap();
        (ended.map_err(|error| format!("{error:#}")), self.folder)
    }
}

/// `Authorization` of [`CREDENTIALS`].
pub(super) const AUTHORIZATION: &str = "Basic ZTJlOmUyZS1zZWNyZXQ=";

/// A folder with one file of resources; gives its path.
pub(super) fn write(folder: &Path, name: &str, resources: &str) -> String {
    let folder = folder.join(name);
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("all.yaml"), resources).unwrap();
    folder.display().to_string()
}

/// An upstream of this name; gives its port.
pub(super) fn echo(name: &'static str) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, echo::router(name.into())).await.unwrap();
        });
    });
    port
}

/// A route of this path to one target; `target` is a YAML object without its braces.
pub(super) fn route(path: &str, target: &str) -> String {
    format!(
        "---
apiVersion: komainu.dev/v1alpha1
kind: Route
metadata: {{name: r-{}}}
spec:
  matches: [{{paths: [{{value: {path}}}]}}]
  backends: [{{inline: {{targets: [{{{target}}}]}}}}]
",
        if path == "/" { "root" } else { path.trim_start_matches('/') }
    )
}

/// [`route`] to a port of this machine.
pub(super) fn near(path: &str, port: u16) -> String {
    route(path, &format!("hostname: 127.0.0.1, port: {port}"))
}
