use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dataplane_proxy::worker::LeaderUrl;
use dataplane_snapshot::Snapshot;
use operator_core::session::MemberStatus;
use operator_server::Credentials;
use operator_server::cluster::{Cluster, ClusterSettings};
use operator_server::port::{Bounds, PortTls, TlsListener, serve};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) const ID: &str = "an-id";
pub(crate) const SECRET: &str = "a-secret";

/// How long a condition may take to come true before a test fails. Far longer than it ever takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A leader's endpoints on a port of their own.
pub(crate) struct Leader {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) address: SocketAddr,
    is_tls: bool,
    snapshots: watch::Sender<Option<Arc<Snapshot>>>,
    shutdown: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Leader {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        Self::start_by(address, None, false).await
    }

    /// Inside TLS; what is sent is what it goes on with.
    pub(crate) async fn start_tls(
        address: SocketAddr,
        tls: PortTls,
        client_certificates: bool,
    ) -> (Self, watch::Sender<PortTls>) {
        let (sender, receiver) = watch::channel(tls);
        (Self::start_by(address, Some(receiver), client_certificates).await, sender)
    }

    async fn start_by(
        address: SocketAddr,
        tls: Option<watch::Receiver<PortTls>>,
        client_certificates: bool,
    ) -> Self {
        let mut settings = ClusterSettings::new(Credentials::new(ID, SECRET));
        (settings.full_sends, settings.client_certificates) = (4, client_certificates);
        let cluster = Cluster::new(settings);
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let is_tls = tls.is_some();
        let (snapshots, receiver) = watch::channel(None);
        let (shutdown, is_shutdown) = watch::channel(false);
        let (router, bounds) = (cluster.router(), Bounds::of(None));
        let run = cluster.clone().run(receiver, is_shutdown);
        let served = async move {
            match tls {
                None => serve(listener, router, bounds, pending()).await,
                Some(tls) => serve(TlsListener::new(listener, tls), router, bounds, pending()).await,
            }
        };
        let server = tokio::spawn(async move {
            tokio::select! {
                () = served => {}
                () = run => {}
            }
        });
        Self { cluster, address, is_tls, snapshots, shutdown, server }
    }

    pub(crate) fn url(&self) -> LeaderUrl {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address).parse().unwrap()
    }

    pub(crate) fn publish(&self, snapshot: &Snapshot) {
        self.snapshots.send_replace(Some(Arc::new(snapshot.clone())));
    }

    /// Ends it as a process ends: connections break, the port is free.
    pub(crate) async fn stop(self) -> SocketAddr {
        self.shutdown.send_replace(true);
        self.server.abort();
        let _ = self.server.await;
        self.address
    }

    pub(crate) async fn until_member(&self, condition: impl Fn(&MemberStatus) -> bool) -> MemberStatus {
        let mut changes = self.cluster.members_changed();
        let wait = async {
            loop {
                if let Some(member) = self.cluster.members().into_iter().find(&condition) {
                    return member;
                }
                changes.changed().await.unwrap();
            }
        };
        let found = tokio::time::timeout(PATIENCE, wait).await;
        found.unwrap_or_else(|_| unreachable!("no such member: {:?}", self.cluster.members()))
    }
}
