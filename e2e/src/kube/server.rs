use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::bail;
use tempfile::TempDir;

use super::kubectl::Kubectl;
use super::{certificates, tools};
use crate::servers::Process;

/// How long etcd and kube-apiserver together may take until they are ready. It is about 4 s on an idle machine.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// How often another port is tried when somebody took the chosen one first.
const PORT_TRIES: usize = 3;

/// Who talks to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// May do everything.
    Admin,
    /// May do what tests allow by RBAC to the user `leader`.
    Leader,
}

impl User {
    const ALL: [Self; 2] = [Self::Admin, Self::Leader];

    const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Leader => "leader",
        }
    }

    const fn group(self) -> &'static str {
        match self {
            Self::Admin => "system:masters",
            Self::Leader => "leaders",
        }
    }
}

/// etcd and kube-apiserver with a temporary folder, all gone when it is dropped.
pub struct ApiServer {
    // Dropped in this order: kube-apiserver before etcd, both before their folder.
    apiserver: Option<Process>,
    etcd: Process,
    etcd_port: u16,
    port: u16,
    folder: TempDir,
}

static SHARED: Mutex<Weak<ApiServer>> = Mutex::new(Weak::new());

impl ApiServer {
    /// The server that the tests of one process share while at least one of them runs; each takes a namespace of its own.
    pub fn shared() -> anyhow::Result<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Ok(running);
        }
        let server = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&server);
        Ok(server)
    }

    /// Starts both and waits until the API server is ready.
    pub fn start() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("komainu-apiserver-").tempdir()?;
        certificates::write(folder.path())?;
        let tokens = User::ALL.map(|user| {
            let (name, group) = (user.name(), user.group());
            format!("{name}-token,{name},{name},{group}\n")
        });
        fs::write(folder.path().join("tokens.csv"), tokens.concat())?;
        let (etcd, etcd_port) = start_etcd(folder.path())?;
        let mut server = Self { apiserver: None, etcd, etcd_port, port: 0, folder };
        server.start_apiserver()?;
        Ok(server)
    }

    /// Kills kube-apiserver; etcd keeps its data.
    pub fn stop_apiserver(&mut self) {
        self.apiserver = None;
    }

    /// Starts kube-apiserver again, on the same port and data, and waits until it is ready.
    pub fn start_apiserver(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        for _ in 0..PORT_TRIES {
            if self.port == 0 {
                self.port = free_port()?;
            }
            for user in User::ALL {
                fs::write(self.kubeconfig(user), self.kubeconfig_text(user))?;
            }
            let log = self.folder.path().join("kube-apiserver.log");
            let mut process = Process::start(tools::program("kube-apiserver")?, &self.arguments(), log)?;
            let started = wait_until_ready(&mut process, deadline, |_| self.is_ready());
            if let Err(error) = started {
                if is_port_taken(&process) {
                    self.port = 0;
                    continue;
                }
                let etcd = last_lines(&self.etcd.printed());
                return Err(error.context(format!("kube-apiserver isn't ready; etcd printed:\n{etcd}")));
            }
            self.apiserver = Some(process);
            return Ok(());
        }
        bail!("no free port for kube-apiserver in {PORT_TRIES} tries")
    }

    /// The path of a kubeconfig for `user`.
    pub fn kubeconfig(&self, user: User) -> PathBuf {
        self.folder.path().join(format!("{}.kubeconfig", user.name()))
    }

    /// kubectl as the administrator.
    pub fn kubectl(&self) -> Kubectl {
        self.kubectl_as(User::Admin)
    }

    pub fn kubectl_as(&self, user: User) -> Kubectl {
        Kubectl {
            kubeconfig: self.kubeconfig(user),
            caches: self.folder.path().join("kubectl"),
            namespace: None,
        }
    }

    /// Ready, and with the namespaces that it makes for itself shortly afterwards.
    fn is_ready(&self) -> anyhow::Result<bool> {
        let kubectl = self.kubectl();
        let is_ready = kubectl.run(&["get", "--raw", "/readyz", "--request-timeout=2s"])?.is_success;
        Ok(is_ready && kubectl.run(&["get", "namespace", "kube-system", "default"])?.is_success)
    }

    fn kubeconfig_text(&self, user: User) -> String {
        let (folder, port, name) = (self.folder.path().display(), self.port, user.name());
        format!(
            "apiVersion: v1\n\
             kind: Config\n\
             current-context: e2e\n\
             clusters: [{{name: e2e, cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority: '{folder}/ca.crt'}}}}]\n\
             users: [{{name: {name}, user: {{token: {name}-token}}}}]\n\
             contexts: [{{name: e2e, context: {{cluster: e2e, user: {name}}}}}]\n"
        )
    }

    fn arguments(&self) -> Vec<String> {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let set = |name: &str, value: &str| format!("--{name}={value}");
        vec![
            set("etcd-servers", &format!("http://127.0.0.1:{}", self.etcd_port)),
            set("bind-address", "127.0.0.1"),
            set("secure-port", &self.port.to_string()),
            // There is no other API server, and a loopback address can't be advertised.
            set("advertise-address", "127.0.0.1"),
            set("endpoint-reconciler-type", "none"),
            set("cert-dir", &file("")),
            set("tls-cert-file", &file("server.crt")),
            set("tls-private-key-file", &file("server.key")),
            set("token-auth-file", &file("tokens.csv")),
            set("authorization-mode", "RBAC"),
            set("service-account-issuer", "https://kubernetes.default.svc"),
            set("service-account-key-file", &file("accounts.pub")),
            set("service-account-signing-key-file", &file("accounts.key")),
            set("service-cluster-ip-range", "10.96.0.0/16"),
        ]
    }
}

fn start_etcd(folder: &Path) -> anyhow::Result<(Process, u16)> {
    let deadline = Instant::now() + READY_WITHIN;
    for _ in 0..PORT_TRIES {
        let (port, peer_port) = (free_port()?, free_port()?);
        let set = |name: &str, value: String| format!("--{name}={value}");
        let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer_port}"));
        let arguments = [
            set("data-dir", folder.join("etcd").display().to_string()),
            set("listen-client-urls", client.clone()),
            set("advertise-client-urls", client),
            set("listen-peer-urls", peer.clone()),
            set("initial-advertise-peer-urls", peer.clone()),
            set("initial-cluster", format!("default={peer}")),
            // Its data is thrown away after the test; a killed process loses nothing by it.
            "--unsafe-no-fsync".to_owned(),
        ];
        let mut process = Process::start(tools::program("etcd")?, &arguments, folder.join("etcd.log"))?;
        let is_ready = |process: &Process| Ok(process.printed().contains("ready to serve client requests"));
        match wait_until_ready(&mut process, deadline, is_ready) {
            Ok(()) => return Ok((process, port)),
            Err(_) if is_port_taken(&process) => {}
            Err(error) => return Err(error.context("etcd isn't ready")),
        }
    }
    bail!("no free port for etcd in {PORT_TRIES} tries")
}

fn wait_until_ready(
    process: &mut Process,
    deadline: Instant,
    mut is_ready: impl FnMut(&Process) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    while !is_ready(process)? {
        if Instant::now() > deadline || process.has_ended() {
            bail!("it printed:\n{}", last_lines(&process.printed()));
        }
        // There is nothing to wait on but the answer of another process.
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn is_port_taken(process: &Process) -> bool {
    process.printed().contains("address already in use")
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
