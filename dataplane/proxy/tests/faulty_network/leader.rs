use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::serve::Listener;
use dataplane_snapshot::{Root, Snapshot};
use operator_core::session::MemberStatus;
use operator_server::Credentials;
use operator_server::cluster::{Cluster, ClusterSettings};
use tokio::sync::watch;
use turmoil::Sim;
use turmoil::net::{TcpListener, TcpStream};

use super::source::Source;

pub(crate) const PORT: u16 = 9000;
pub(crate) const CREDENTIALS: [&str; 2] = ["an-id", "a-secret"];

/// How often a leader looks at the source, and shows whom it knows.
const LOOK: Duration = Duration::from_millis(5);

type Members = Arc<Mutex<Vec<MemberStatus>>>;

/// A leader's endpoints, and what they last knew of the workers.
pub(crate) struct Leader {
    pub(crate) name: &'static str,
    members: Members,
}

impl Leader {
    /// One that learns of each write after `lag`.
    pub(crate) fn start(sim: &mut Sim<'_>, name: &'static str, source: &Source, lag: Duration) -> Self {
        let members = Members::default();
        let (shown, source) = (members.clone(), source.clone());
        sim.host(name, move || lead(source.clone(), lag, shown.clone()));
        Self { name, members }
    }

    /// Whether it has heard that `worker`, which it doesn't hold for lost, serves `root`.
    pub(crate) fn knows(&self, worker: &str, root: Root) -> bool {
        self.members.lock().unwrap().iter().any(|member| {
            member.identity.name == worker
                && !member.lost
                && member.applied.as_ref().is_some_and(|applied| applied.root == root)
        })
    }

    /// What it takes the workers to have served.
    pub(crate) fn believes(&self) -> Vec<(String, Root)> {
        let members = self.members.lock().unwrap();
        let told =
            |member: &MemberStatus| Some((member.identity.name.clone(), member.applied.as_ref()?.root));
        members.iter().filter_map(told).collect()
    }
}

async fn lead(source: Source, lag: Duration, shown: Members) -> turmoil::Result {
    let [id, secret] = CREDENTIALS;
    let cluster = Cluster::new(ClusterSettings::new(Credentials::new(id, secret)));
    let (snapshots, receiver) = watch::channel(None::<Arc<Snapshot>>);
    let (_alive, is_shutdown) = watch::channel(false);
    let port = Port(TcpListener::bind(("0.0.0.0", PORT)).await?);
    let look = async {
        loop {
            let now = turmoil::sim_elapsed().unwrap();
            let newest = now.checked_sub(lag).and_then(|moment| source.at(moment));
            snapshots.send_if_modified(|current| {
                let is_new = newest.as_ref().map(|it| it.root()) != current.as_ref().map(|it| it.root());
                if is_new {
                    *current = newest;
                }
                is_new
            });
            *shown.lock().unwrap() = cluster.members();
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        served = async { axum::serve(port, cluster.router()).await } => Ok(served?),
        () = cluster.clone().run(receiver, is_shutdown) => Ok(()),
        () = look => Ok(()),
    }
}

struct Port(TcpListener);

impl Listener for Port {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            if let Ok(accepted) = self.0.accept().await {
                return accepted;
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
