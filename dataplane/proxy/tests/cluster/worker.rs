use std::sync::{Arc, Mutex};
use std::time::Duration;

use dataplane_core::served::Served;
use dataplane_core::subscription::Backoff;
use dataplane_proxy::ListenError;
use dataplane_proxy::worker::{Applier, LeaderUrl, Service, WorkerHealth, WorkerSettings, run};
use dataplane_snapshot::{Key, Kind, wire};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::leader::{ID, PATIENCE, SECRET};

/// In the place of a proxy: its router is the list of the names of the routes. A route named "bad…" is rejected, one named
/// "panic…" is a fault. Its listeners are open but for the ones in `taken`.
#[derive(Default)]
pub(crate) struct Names {
    serving: Mutex<Vec<String>>,
    /// How often something was put in service.
    swaps: Mutex<usize>,
    taken: Mutex<Vec<&'static str>>,
}

impl Names {
    pub(crate) fn serving(&self) -> Vec<String> {
        self.serving.lock().unwrap().clone()
    }

    /// From now on these listeners can't be opened.
    pub(crate) fn take(&self, listeners: &[&'static str]) {
        *self.taken.lock().unwrap() = listeners.to_vec();
    }

    pub(crate) fn swaps(&self) -> usize {
        *self.swaps.lock().unwrap()
    }
}

impl Service for Names {
    type Router = Vec<String>;

    fn compile(&self, served: &Served, _: Option<&Vec<String>>) -> (Vec<String>, Vec<(Key, String)>) {
        let (mut names, mut rejected) = (Vec::new(), Vec::new());
        for (key, object) in served.iter().filter(|(key, _)| key.kind() != Kind::Unknown) {
            match object.decode() {
                Ok(wire::Payload::Route(route)) if route.name.starts_with("bad") => {
                    rejected.push((key.clone(), "it is bad".to_owned()));
                }
                Ok(wire::Payload::Route(route)) => {
                    assert!(!route.name.starts_with("panic"), "a fault in the compile step");
                    names.push(route.name);
                }
                Ok(wire::Payload::Held(held)) => names.push(format!("503 {}", held.reason)),
                _ => rejected.push((key.clone(), "not a route".to_owned())),
            }
        }
        (names, rejected)
    }

    fn swap(&self, router: Arc<Vec<String>>) -> Vec<ListenError> {
        *self.serving.lock().unwrap() = router.to_vec();
        *self.swaps.lock().unwrap() += 1;
        let taken = self.taken.lock().unwrap();
        taken.iter().map(|name| ListenError { listener: (*name).into(), reason: IN_USE.into() }).collect()
    }
}

/// Why a listener of [`Names`] can't be opened.
pub(crate) const IN_USE: &str = "the port is in use";

pub(crate) fn settings(leaders: Vec<LeaderUrl>) -> WorkerSettings {
    let mut settings = WorkerSettings::new(leaders, ID.into(), SECRET.into(), "worker-1".into());
    settings.hold = Duration::from_secs(1);
    settings.backoff = Backoff { base: Duration::from_millis(10), factor: 2, cap: Duration::from_millis(50) };
    settings
}

pub(crate) struct Worker {
    pub(crate) applier: Arc<Applier<Names>>,
    health: watch::Receiver<WorkerHealth>,
    shutdown: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Worker {
    pub(crate) fn start(settings: WorkerSettings) -> Self {
        Self::start_with(settings, Names::default())
    }

    pub(crate) fn start_with(settings: WorkerSettings, names: Names) -> Self {
        let applier = Arc::new(Applier::new(names));
        let (sender, health) = watch::channel(WorkerHealth::default());
        let (shutdown, is_shutdown) = watch::channel(false);
        let run = run(settings, applier.clone(), sender, is_shutdown);
        let task = tokio::spawn(async move { run.await.expect("the settings are good") });
        Self { applier, health, shutdown, task }
    }

    pub(crate) fn serving(&self) -> Vec<String> {
        self.applier.service().serving()
    }

    pub(crate) async fn until(&mut self, condition: impl Fn(&WorkerHealth) -> bool) -> WorkerHealth {
        let found = tokio::time::timeout(PATIENCE, self.health.wait_for(condition)).await;
        let found = found.map(|health| health.expect("the worker runs").clone());
        found.unwrap_or_else(|_| unreachable!("it never came true: {:?}", self.health.borrow()))
    }

    pub(crate) async fn until_serving(&mut self, names: &[&str]) {
        let applier = self.applier.clone();
        self.until(|health| health.applied.is_some() && applier.service().serving() == names).await;
    }

    pub(crate) async fn stop(self) {
        self.shutdown.send_replace(true);
        tokio::time::timeout(PATIENCE, self.task).await.expect("it ends").expect("without a panic");
    }
}
