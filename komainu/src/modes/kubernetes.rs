//! What a leader has to do with a Kubernetes API server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use dataplane_snapshot::Snapshot;
use operator_core::Owner;
use operator_kubernetes::{
    Holder, KubernetesSettings, LeaseSettings, Links, Mirroring, Nodes, TokenSettings, Tokens,
};
use operator_server::cluster::{Cluster, FindPlace, ReadToken, ReadyPods};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::control_plane::leader_name;
use super::listeners;
use super::relay::send_relay;
use crate::settings::Settings;
use crate::shutdown;

/// Where the keys are kept that tokens are signed with; they are public.
const KEYS_FILE: &str = "token-keys.json";

pub(super) struct Connection {
    client: operator_kubernetes::Client,
}

impl Connection {
    /// `None` if the settings don't ask for one. An API server that is away is no error.
    pub(super) async fn open(settings: &Settings) -> anyhow::Result<Option<Self>> {
        if !settings.kubernetes.enabled {
            return Ok(None);
        }
        operator_kubernetes::install_crypto_provider();
        let client = operator_kubernetes::connect(None).await.context("setting kubernetes.enabled")?;
        Ok(Some(Self { client }))
    }

    /// `None` if nobody's tokens are taken.
    pub(super) fn read_tokens(&self, settings: &Settings) -> Option<ReadToken> {
        let of = &settings.kubernetes;
        let accounts = TokenSettings {
            audience: of.audience.clone(),
            workers: of.workers.service_account.clone(),
            leaders: of.leaders.service_account.clone(),
        };
        if accounts.workers.is_none() && accounts.leaders.is_none() {
            return None;
        }
        let tokens = Tokens::new(accounts, Some(settings.data_directory.join(KEYS_FILE)));
        tokio::spawn(tokens.clone().follow(self.client.clone()));
        Some(Arc::new(move |token| tokens.bearer(token).map_err(|error| error.to_string())))
    }

    /// Where the nodes of workers are that are known by their tokens.
    pub(super) fn find_place(&self) -> FindPlace {
        let nodes = Nodes::new(self.client.clone());
        Arc::new(move |node| Box::pin(nodes.clone().place(node)))
    }

    /// `None` if the pods of workers don't count.
    pub(super) fn follow_pods(&self, settings: &Settings) -> Option<ReadyPods> {
        let selector = settings.kubernetes.workers.selector.clone()?;
        let (ready, pods) = watch::channel(None);
        tokio::spawn(operator_kubernetes::follow_pods(
            self.client.clone(),
            self.namespace(),
            selector,
            ready,
        ));
        Some(pods)
    }

    /// Watches, mirrors, and writes while it may. What is given has to be waited for at a stop. Of leaders with one store
    /// (`is_shared`) only the holder of the Lease mirrors.
    pub(super) fn work(
        self,
        settings: &Settings,
        links: impl FnOnce(watch::Receiver<bool>, watch::Receiver<Mirroring>) -> Links,
        is_shared: bool,
        (cluster, writer): (&Arc<Cluster>, watch::Sender<Option<String>>),
        stop: &watch::Receiver<bool>,
    ) -> anyhow::Result<Vec<JoinHandle<()>>> {
        anyhow::ensure!(
            !is_shared || settings.kubernetes.lease.is_some(),
            "setting kubernetes.lease: with store.url several may mirror the cluster into one store; give all of them the name of \
             a Lease, whose holder does it"
        );
        let mut tasks = Vec::new();
        let (holder, held) =
            watch::channel(Holder { is_me: settings.kubernetes.lease.is_none(), ..Holder::default() });
        if let Some(name) = settings.kubernetes.lease.clone() {
            let lease = LeaseSettings {
                namespace: self.namespace(),
                name,
                identity: leader_name(settings),
                url: settings.cluster.leader.advertised_url.clone().unwrap_or_default(),
            };
            let stop = shutdown::asked(stop.clone());
            tasks.push(tokio::spawn(operator_kubernetes::elect(self.client.clone(), lease, holder, stop)));
            let url = of_holder(held.clone(), |holder| holder.url.clone());
            tokio::spawn(tell(url.clone(), writer));
            tokio::spawn(cluster.clone().relay(url, send_relay(settings)?));
        }
        let kubernetes = KubernetesSettings {
            namespaces: settings.kubernetes.namespaces.clone(),
            secrets: listeners::secrets(settings)?,
            instance: leader_name(settings),
            ..KubernetesSettings::default()
        };
        let mirroring = of_holder(held.clone(), move |holder| match (is_shared, holder.is_me) {
            (false, _) => Mirroring::Own,
            (true, true) => Mirroring::Term(holder.term),
            (true, false) => Mirroring::No,
        });
        let links = links(of_holder(held, |holder| holder.is_me), mirroring);
        let stop = shutdown::asked(stop.clone());
        tokio::spawn(operator_kubernetes::run(self.client, kubernetes, links, stop));
        Ok(tasks)
    }

    /// In which the leader itself is.
    fn namespace(&self) -> String {
        self.client.default_namespace().to_owned()
    }
}

/// Tells on what changes.
async fn tell(mut from: watch::Receiver<Option<String>>, to: watch::Sender<Option<String>>) {
    loop {
        let now = from.borrow_and_update().clone();
        to.send_replace(now);
        if from.changed().await.is_err() {
            return;
        }
    }
}

/// The pause after the first time that this leader is behind, and the longest; doubled from one to the next.
const BEHIND: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));

/// Told when a worker that had another leader before has seen more of Kubernetes than this one. Watches tell of a kind that
/// nothing happens to once a minute only how far they are; a list tells at once.
pub(super) fn notice_behind(
    cluster: Arc<Cluster>,
    snapshot: watch::Receiver<Option<Arc<Snapshot>>>,
) -> Arc<Notify> {
    let behind = Arc::new(Notify::new());
    let notify = behind.clone();
    let mut changed = cluster.members_changed();
    tokio::spawn(async move {
        let mut pause = BEHIND.0;
        loop {
            let mine = snapshot.borrow().clone();
            if mine.is_some_and(|mine| cluster.is_behind(mine.as_of(), Owner::Kubernetes.as_str())) {
                notify.notify_one();
                sleep(pause).await;
                pause = (pause * 2).min(BEHIND.1);
                continue;
            }
            pause = BEHIND.0;
            if changed.changed().await.is_err() {
                return;
            }
        }
    });
    behind
}

/// A part of what is known of the holder. Without a Lease nothing about it changes.
fn of_holder<T: PartialEq + Send + Sync + 'static>(
    mut held: watch::Receiver<Holder>,
    part: impl Fn(&Holder) -> T + Send + 'static,
) -> watch::Receiver<T> {
    let (sender, parts) = watch::channel(part(&held.borrow_and_update()));
    tokio::spawn(async move {
        while held.changed().await.is_ok() {
            let now = part(&held.borrow_and_update());
            sender.send_if_modified(|before| {
                let changed = *before != now;
                *before = now;
                changed
            });
        }
        // The last word stands for as long as somebody listens.
        sender.closed().await;
    });
    parts
}
