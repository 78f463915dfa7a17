//! What goes wrong between a leader and its workers, or beside them: traffic goes on, a metric and a line of the log name the
//! trouble, and it ends with the trouble. What a leader may answer is tested one by one in `dataplane/proxy/tests/cluster`.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use e2e::process::{Fault, Gateway, Link, Load, Program, get, request, until, within};

use crate::cluster::authorization;
use crate::fixture::{Fixture, route};

/// A route to the first upstream on a leader, and a worker that serves it under load.
struct Cluster {
    fixture: Fixture,
    leader: Gateway,
    worker: Gateway,
    processes: [Program; 2],
    load: Load,
}

impl Cluster {
    fn start() -> Self {
        Self::start_as(|leader| leader, |worker| worker, None)
    }

    /// With other settings; the worker finds its leader through `link`, if there is one.
    fn start_as(
        leader: impl FnOnce(Gateway) -> Gateway,
        worker: impl FnOnce(Gateway) -> Gateway,
        link: Option<&dyn Fn(u16) -> u16>,
    ) -> Self {
        let fixture = Fixture::new();
        fixture.write("a.yaml", &route("a", "/a", fixture.one));
        let leader = leader(Gateway::leader(fixture.path(), &fixture.resources()));
        let port = link.map_or(leader.admin, |link| link(leader.admin));
        let gateway =
            Gateway::worker_at(fixture.path(), "worker", port).with("cluster.worker.state.pollEvery", "1s");
        let worker = worker(gateway);
        let processes = [leader.start_ready(), worker.start_ready()];
        let load = Load::start(worker.port, &["/a"], 2, Duration::from_millis(2));
        Self { fixture, leader, worker, processes, load }
    }

    /// Lets the route lead to the other upstream, and waits until the worker has it so.
    fn edit(&self, name: &str) {
        let port = if name == "one" { self.fixture.one } else { self.fixture.two };
        self.fixture.write("a.yaml", &route("a", "/a", port));
        until("the edit is live", || serves(&self.worker, name));
    }

    fn until_metric(&self, name: &str, is: impl Fn(f64) -> bool) {
        until(name, || is(self.worker.metric(name)?).then_some(()));
    }

    fn until_logged(&self, text: &str) {
        until(text, || self.processes[1].log().contains(text).then_some(()));
    }

    /// No request failed.
    fn end(self) {
        let served = self.load.served();
        until("traffic goes on", || (self.load.served() > served + 50).then_some(()));
        let report = self.load.stop();
        assert!(report.failures.is_empty(), "{report:?}");
    }
}

fn serves(gateway: &Gateway, name: &str) -> Option<()> {
    (get(gateway.port, "/a").ok()?.json()["name"] == name).then_some(())
}

#[test]
fn a_leader_that_is_down() {
    let mut cluster = Cluster::start();
    cluster.processes[0].kill();
    cluster.until_metric("komainu_worker_following", |following| following == 0.0);
    cluster.until_metric("komainu_worker_poll_failures_total", |failures| failures >= 3.0);
    cluster.until_logged("a leader failed");
    cluster.processes[0] = cluster.leader.start_ready();
    cluster.edit("two");
    cluster.until_metric("komainu_worker_following", |following| following == 1.0);
    cluster.end();
}

#[test]
fn a_leader_that_is_slow() {
    let link = std::cell::OnceCell::new();
    let through = |port| link.get_or_init(|| Link::to(port)).port;
    let worker = |worker: Gateway| worker.with("cluster.worker.timeout", "500ms");
    let cluster = Cluster::start_as(|leader| leader, worker, Some(&through));
    let link = link.get().expect("the link");
    link.set(Fault::Stalled);
    cluster.until_metric("komainu_worker_following", |following| following == 0.0);
    cluster.until_metric("komainu_worker_poll_failures_total", |failures| failures >= 2.0);
    cluster.until_logged("no answer in time");
    link.set(Fault::None);
    cluster.edit("two");
    cluster.end();
}

/// A server in the leader's place that gives everybody these bytes.
fn answer(port: u16, bytes: Vec<u8>) {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the leader's port");
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let mut head = [0; 4096];
            let _ = client.read(&mut head);
            let _ = client.write_all(&bytes);
        }
    });
}

/// The whole state, as a leader gives it.
fn state(leader: &Gateway) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", leader.admin)).expect("the leader");
    let (name, value) = authorization();
    let head = format!(
        "GET /api/cluster/state HTTP/1.1\r\nhost: leader\r\nconnection: close\r\n{name}: {value}\r\n\
         komainu-worker-id: w\r\nkomainu-worker-name: w\r\nkomainu-worker-version: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("ask for the state");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the state");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    answer
}

/// The leader's place is taken by a server that answers `bytes`; the worker says `reason`, and serves what it had.
fn is_refused(mut cluster: Cluster, bytes: Vec<u8>, metric: &str, reason: &str) {
    cluster.processes[0].kill();
    answer(cluster.leader.admin, bytes);
    cluster.until_metric(metric, |value| value >= 1.0);
    cluster.until_logged(reason);
    let serving = get(cluster.worker.port, "/a").unwrap().json()["name"].clone();
    assert_eq!(serving, "two");
    cluster.end();
}

#[test]
fn a_leader_that_answers_garbage() {
    let cluster = Cluster::start();
    cluster.edit("two");
    let garbage = b"\x16\x03\x01 no HTTP at all\r\n\r\n".to_vec();
    is_refused(cluster, garbage, "komainu_worker_poll_failures_total", "invalid HTTP");
}

#[test]
fn half_a_state() {
    let cluster = Cluster::start();
    cluster.edit("two");
    let mut half = state(&cluster.leader);
    half.truncate(half.len() - 40);
    is_refused(cluster, half, "komainu_worker_poll_failures_total", "broke off");
}

#[test]
fn an_old_state() {
    let cluster = Cluster::start();
    let old = state(&cluster.leader);
    cluster.edit("two");
    is_refused(cluster, old, "komainu_worker_stale_leader", "StaleLeader");
}

/// A file system of its own for a worker's data directory, mounted with these options where nobody else sees it.
fn on_own_disk(worker: Gateway, options: &str) -> (Gateway, String) {
    let folder = worker.data_directory();
    std::fs::create_dir_all(&folder).expect("a data directory");
    let folder = folder.display().to_string();
    let mount = format!("mount -t tmpfs -o {options} none '{folder}' && exec \"$0\" \"$@\"");
    (worker.started_by(&["unshare", "-rm", "sh", "-c", &mount]), folder)
}

#[test]
fn a_disk_that_is_read_only() {
    let cluster = Cluster::start_as(|leader| leader, |worker| on_own_disk(worker, "ro").0, None);
    cluster.until_metric("komainu_worker_not_persisted", |not| not == 1.0);
    cluster.until_metric("komainu_worker_persist_failures_total", |failures| failures >= 1.0);
    cluster.until_logged("the state file can't be written");
    cluster.edit("two");
    cluster.end();
}

#[test]
fn a_disk_that_is_full() {
    let mut folder = String::new();
    let worker = |worker| {
        let (worker, own) = on_own_disk(worker, "size=8m");
        folder = own;
        worker
    };
    let cluster = Cluster::start_as(|leader| leader, worker, None);
    cluster.until_metric("komainu_worker_not_persisted", |not| not == 0.0);
    let ballast = format!("/proc/{}/root{folder}/ballast", cluster.processes[1].pid());
    let mut file = File::create(&ballast).expect("a file on the worker's disk");
    while file.write_all(&[0; 4096]).is_ok() {}
    let many: Vec<_> =
        (0..500).map(|number| route(&format!("r{number}"), &format!("/r/{number}"), 1)).collect();
    cluster.fixture.write("many.yaml", &many.join("---\n"));
    cluster.until_metric("komainu_worker_not_persisted", |not| not == 1.0);
    cluster.until_logged("the state file can't be written");
    cluster.edit("two");
    std::fs::remove_file(&ballast).expect("remove the ballast");
    drop(file);
    cluster.edit("one");
    cluster.until_metric("komainu_worker_not_persisted", |not| not == 0.0);
    cluster.end();
}

/// The library of `e2e/tools/clock.c`.
fn clock(folder: &Path) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/clock.c");
    let library = folder.join("clock.so");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
    assert!(built.is_ok_and(|status| status.success()), "a C compiler (cc) is needed");
    library.display().to_string()
}

/// The program as cargo builds it for its own tests, which are built with this one.
fn dynamic_program() -> PathBuf {
    let own = std::env::current_exe().expect("this program's own path");
    let program = own.ancestors().nth(2).expect("a target folder").join("komainu");
    assert!(program.exists(), "{} is missing: run cargo test --workspace", program.display());
    program
}

#[test]
fn a_clock_that_jumps() {
    const TEN_YEARS: i64 = 315_569_520;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seconds");
    let (library, moved) = (clock(folder.path()), file.display().to_string());
    let with_clock = |gateway: Gateway| {
        let (library, file) = (format!("LD_PRELOAD={library}"), format!("CLOCK_FILE={moved}"));
        // The program is started by its own name instead: nothing can be loaded into the static one.
        let instead = format!("exec '{}' \"$@\"", dynamic_program().display());
        gateway.started_by(&["env", &library, &file, "sh", "-c", &instead])
    };
    let mut cluster = Cluster::start_as(with_clock, with_clock, None);
    let year = 1970 + SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() / 31_556_952;
    for (seconds, name, year) in [(TEN_YEARS, "two", year + 10), (-TEN_YEARS, "one", year - 10)] {
        std::fs::write(&file, seconds.to_string()).unwrap();
        cluster.edit(name);
        cluster.until_logged(&format!("{year}-"));
    }
    // A leader that starts ten years before it was last stopped has the same state, and goes on with it.
    cluster.processes[0].kill();
    cluster.processes[0] = cluster.leader.start_ready();
    cluster.edit("two");
    assert_eq!(cluster.worker.metric("komainu_worker_stale_leader"), Some(0.0));
    cluster.end();
}

#[test]
fn a_worker_that_is_stopped_for_long() {
    let cluster = Cluster::start();
    let stopped = Gateway::worker(cluster.fixture.path(), "stopped", &cluster.leader);
    let process = stopped.start_ready();
    process.signal("STOP");
    cluster.edit("two");
    let lost = || {
        let status = request(cluster.leader.admin, "GET", "/api/status", &[authorization()], "").ok()?;
        status.body.contains("WorkerLost").then_some(())
    };
    within(Duration::from_secs(60), "the leader says who is missing", lost);
    process.signal("CONT");
    until("it has caught up", || serves(&stopped, "two"));
    until("the leader has noticed", || lost().is_none().then_some(()));
    cluster.end();
}
