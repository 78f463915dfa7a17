use std::ffi::OsString;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{get, until};

/// A port that was free a moment ago, that no other call in this process gives, and that the system gives nobody who asks for
/// any port: those begin at 32768.
pub fn free_port() -> u16 {
    const FIRST: u32 = 16_384;
    const COUNT: u32 = 16_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Processes that run at the same time begin at different places.
    let begin = std::process::id().wrapping_mul(2_654_435_761) % COUNT;
    loop {
        let next = begin + GIVEN.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + next % COUNT).expect("a port");
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

/// A started process of the program. Its output goes to a file; it is killed when this is dropped.
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `komainu` with `arguments`; standard error and output go to `log`.
    pub fn start(arguments: &[String], log: &Path) -> Self {
        Self::start_by(&[], arguments, log)
    }

    /// The same by a command that ends with starting, in its own place, what follows it: `unshare --mount`, for instance.
    pub fn start_by(starter: &[String], arguments: &[String], log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).expect("a log file");
        let program = binary().into_os_string();
        let mut words = starter.iter().map(OsString::from).chain([program]);
        let child = Command::new(words.next().expect("the program"))
            .args(words)
            .args(arguments)
            .stdout(file.try_clone().expect("the log file once more"))
            .stderr(file)
            .spawn()
            .expect("start komainu");
        Self { child, log: log.to_owned() }
    }

    /// An upstream that answers with `name`, on a free port, ready.
    pub fn echo(name: &str, folder: &Path) -> (Self, u16) {
        let port = free_port();
        (Self::echo_at(name, port, folder), port)
    }

    /// The same on this port.
    pub fn echo_at(name: &str, port: u16, folder: &Path) -> Self {
        let arguments = ["echo", "--name", name, "--listen", &format!("127.0.0.1:{port}")].map(str::to_owned);
        let echo = Self::start(&arguments, &folder.join(format!("echo-{name}.log")));
        until(&format!("echo {name} answers"), || get(port, "/").ok());
        echo
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGKILL: nothing is flushed, nobody is told.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Sends a signal by its name, as in TERM.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill").success());
    }

    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("wait")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.log());
        }
    }
}

pub(super) fn binary() -> PathBuf {
    let path = std::env::var_os("KOMAINU_BIN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/komainu"), PathBuf::from);
    assert!(path.exists(), "{} is missing: run `make build` first, or set KOMAINU_BIN", path.display());
    path
}

/// How a leader, worker or standalone process is started, and started again.
pub struct Gateway {
    mode: &'static str,
    folder: PathBuf,
    settings: Vec<String>,
    starter: Vec<String>,
    pub admin: u16,
    pub port: u16,
}

/// The credentials that all processes of a test use.
pub const CREDENTIALS: (&str, &str) = ("e2e", "e2e-secret");

impl Gateway {
    pub fn standalone(folder: &Path, resources: &Path) -> Self {
        Self::new("standalone", folder).with("resources", resources.display())
    }

    pub fn leader(folder: &Path, resources: &Path) -> Self {
        Self::new("leader", folder).with("resources", resources.display())
    }

    /// Standalone without a folder of resources.
    pub fn bare_standalone(folder: &Path) -> Self {
        Self::new("standalone", folder)
    }

    /// A leader without a folder of resources.
    pub fn bare_leader(folder: &Path) -> Self {
        Self::new("leader", folder)
    }

    pub fn worker(folder: &Path, name: &str, leader: &Gateway) -> Self {
        Self::worker_at(folder, name, leader.admin)
    }

    /// A worker that finds its leader on this port.
    pub fn worker_at(folder: &Path, name: &str, leader: u16) -> Self {
        let url = format!("http://127.0.0.1:{leader}");
        Self::new("worker", &folder.join(name))
            .with("cluster.worker.name", name)
            .with("cluster.leader.urls.0", url)
    }

    fn new(mode: &'static str, folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("a folder for the process");
        let (admin, port) = (free_port(), free_port());
        let gateway =
            Self { mode, folder: folder.to_owned(), settings: Vec::new(), starter: Vec::new(), admin, port };
        let directory = gateway.data_directory();
        gateway
            .with("dataDirectory", directory.display())
            .with("admin.port", admin)
            .with("listeners.0.address", "127.0.0.1")
            .with("listeners.0.port", port)
            .with("proxy.threads", 2)
            .with("cluster.leader.clientId", CREDENTIALS.0)
            .with("cluster.leader.clientSecret", CREDENTIALS.1)
    }

    pub fn with(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.settings.push(format!("{key}={value}"));
        self
    }

    /// The process is started by this command; see [`Program::start_by`].
    pub fn started_by(mut self, starter: &[&str]) -> Self {
        self.starter = starter.iter().map(ToString::to_string).collect();
        self
    }

    /// Starts the process and returns at once.
    pub fn start(&self) -> Program {
        let mut arguments = vec![self.mode.to_owned()];
        for setting in &self.settings {
            arguments.extend(["--set".to_owned(), setting.clone()]);
        }
        Program::start_by(&self.starter, &arguments, &self.folder.join(format!("{}.log", self.mode)))
    }

    pub fn data_directory(&self) -> PathBuf {
        self.folder.join(format!("{}-data", self.mode))
    }

    /// The value of one of its metrics.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let text = get(self.admin, "/metrics").ok()?.body;
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// Starts the process and waits until it says that it is ready.
    pub fn start_ready(&self) -> Program {
        let mut program = self.start();
        until(&format!("{} is ready", self.mode), || {
            if let Some(status) = program.exited() {
                panic!("{} ended with {status} instead of becoming ready:\n{}", self.mode, program.log());
            }
            get(self.admin, "/ready").ok().filter(|answer| answer.status == 200)
        });
        program
    }
}
