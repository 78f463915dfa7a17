//! The servers on which a state store can be, as they are in production: with a password, on a disk, killed and started again.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a harness: what fails here fails the test, and its output is for whoever reads the test"
)]

mod cassandra;
mod postgres;
mod process;
mod redis;
mod tls;

use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;

pub(crate) use process::Process;
pub use tls::Certificates;

use crate::process::{free_port, within};

/// The password of all of them.
const PASSWORD: &str = "e2e-hush";

/// How long a start may take: that of a JVM beside tests that take all processors.
const STARTED: Duration = Duration::from_secs(120);

/// A server with a folder and a port of its own. It ends when this is dropped, and at the latest with the test's process.
pub struct Server {
    name: &'static str,
    command: Vec<String>,
    url: String,
    port: u16,
    folder: TempDir,
    process: Mutex<Option<Process>>,
}

impl Server {
    fn new(name: &'static str, folder: TempDir, port: u16, url: String, command: Vec<String>) -> Self {
        let server = Self { name, command, url, port, folder, process: Mutex::default() };
        server.start();
        server
    }

    /// Where it is, with user and password.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// SIGKILL: nothing is flushed, nobody is told.
    pub fn kill(&self) {
        self.process.lock().expect("the process").take();
    }

    /// It says nothing any more, and closes nothing: as a machine that is cut off.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// To all of its processes: PostgreSQL has one for each connection.
    fn signal(&self, name: &str) {
        let shell = self.process.lock().expect("the process").as_ref().expect("it runs").pid();
        let mut all = descendants(shell);
        all.insert(0, format!("-{name}"));
        let status = std::process::Command::new("kill").args(all).status();
        assert!(status.expect("kill").success());
    }

    /// Starts it, on the same port and with what is on its disk, and waits until it listens.
    pub fn start(&self) {
        let log = self.folder.path().join(format!("{}.log", self.name));
        let launch = || {
            let (program, arguments) = self.command.split_first().expect("a command");
            Process::start(program.into(), arguments, log.clone()).expect("start a server")
        };
        let mut process = launch();
        within(STARTED, &format!("{} listens", self.name), || {
            if process.has_ended() {
                // What was killed may still hold its port or its memory.
                eprintln!("{} ended, once more: {}", self.name, process.printed());
                process = launch();
                std::thread::sleep(Duration::from_millis(50));
            }
            TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
        *self.process.lock().expect("the process") = Some(process);
    }
}

fn descendants(parent: u32) -> Vec<String> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let children = std::fs::read_to_string(path).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse::<u32>().ok());
    // The shell that ends it has to be able to.
    let is_shell = |child: &u32| {
        std::fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name.trim() == "sh")
    };
    let children = children.filter(|child| !is_shell(child));
    children.flat_map(|child| std::iter::once(child.to_string()).chain(descendants(child))).collect()
}

fn installed(program: &str, package: &str) {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).exists()));
    assert!(found || program.starts_with('/'), "{program} is missing: apt-get install {package}");
}
