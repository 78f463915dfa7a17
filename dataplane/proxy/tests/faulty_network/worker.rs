use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dataplane_core::served::Served;
use dataplane_core::subscription::Backoff;
use dataplane_proxy::ListenError;
use dataplane_proxy::worker::{
    Applier, Connecting, Connection, Network, Service, WorkerHealth, WorkerSettings, run,
};
use dataplane_snapshot::{Key, Root};
use tempfile::TempDir;
use tokio::sync::watch;
use turmoil::Sim;
use turmoil::net::TcpStream;

use super::LEADERS;
use super::leader::{CREDENTIALS, PORT};
use super::source::Source;

/// A worker, over all its lives.
pub(crate) struct Worker {
    pub(crate) name: &'static str,
    seen: Arc<Mutex<Seen>>,
    _folder: TempDir,
}

/// What a worker served, and what was wrong with it.
#[derive(Default)]
struct Seen {
    roots: Vec<Root>,
    faults: Vec<String>,
}

impl Worker {
    pub(crate) fn start(sim: &mut Sim<'_>, name: &'static str, source: &Source) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let seen = Arc::<Mutex<Seen>>::default();
        let mut settings = settings(name);
        settings.state_file = Some(folder.path().join("state"));
        let (source, shared) = (source.clone(), seen.clone());
        sim.host(name, move || {
            let service = Recorder { source: source.clone(), seen: shared.clone(), last: Mutex::default() };
            let settings = settings.clone();
            async move {
                let (_alive, is_shutdown) = watch::channel(false);
                let health = watch::Sender::new(WorkerHealth::default());
                Ok(run(settings, Arc::new(Applier::new(service)), health, is_shutdown).await?)
            }
        });
        Self { name, seen, _folder: folder }
    }

    pub(crate) fn serves(&self) -> Option<Root> {
        self.seen.lock().unwrap().roots.last().copied()
    }

    /// How many states it has served so far.
    pub(crate) fn served(&self) -> usize {
        self.seen.lock().unwrap().roots.len()
    }

    pub(crate) fn has_served(&self, root: Root) -> bool {
        self.seen.lock().unwrap().roots.contains(&root)
    }

    pub(crate) fn faults(&self) -> Vec<String> {
        self.seen.lock().unwrap().faults.clone()
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} serves {:?}", self.name, self.serves().map(|root| root.to_string()))
    }
}

fn settings(name: &str) -> WorkerSettings {
    let leaders = LEADERS.iter().map(|leader| format!("http://{leader}:{PORT}").parse().unwrap()).collect();
    let [id, secret] = CREDENTIALS.map(str::to_owned);
    let mut settings = WorkerSettings::new(leaders, id, secret, name.to_owned());
    settings.network = Arc::new(Simulated);
    settings.hold = Duration::from_secs(2);
    settings.connect_timeout = Duration::from_millis(500);
    settings.answer_timeout = Duration::from_secs(1);
    settings.backoff = Backoff { base: Duration::from_millis(50), factor: 2, cap: Duration::from_secs(1) };
    settings
}

struct Simulated;

impl Network for Simulated {
    fn connect(&self, host: &str, port: u16) -> Connecting {
        let host = host.to_owned();
        Box::pin(async move {
            let stream = TcpStream::connect((host, port)).await?;
            Ok(Box::new(stream) as Box<dyn Connection>)
        })
    }
}

/// In the place of a proxy, in one life of a worker: notes what it is told to serve, and whether it may be.
struct Recorder {
    source: Source,
    seen: Arc<Mutex<Seen>>,
    /// The place of what is served in the order of all writes.
    last: Mutex<Option<usize>>,
}

impl Service for Recorder {
    type Router = Served;

    fn compile(&self, served: &Served, _: Option<&Served>) -> (Served, Vec<(Key, String)>) {
        (served.clone(), Vec::new())
    }

    fn swap(&self, served: Arc<Served>) -> Vec<ListenError> {
        let root = served.snapshot().root();
        let (mut seen, mut last) = (self.seen.lock().unwrap(), self.last.lock().unwrap());
        match self.source.find(root) {
            None => seen.faults.push(format!("nobody wrote {root}")),
            Some((place, written)) => {
                if !written.objects().eq(served.iter().map(|(_, object)| object)) {
                    seen.faults.push(format!("not the whole of {root}"));
                }
                if last.is_some_and(|last| place < last) {
                    seen.faults.push(format!("{root} is older than what was served before"));
                }
                *last = Some(place);
            }
        }
        seen.roots.push(root);
        Vec::new()
    }
}
