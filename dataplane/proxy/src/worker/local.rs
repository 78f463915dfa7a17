use std::pin::pin;
use std::sync::Arc;

use dataplane_core::subscription::Source;
use dataplane_snapshot::{AsOf, Key, Root, Snapshot};
use tokio::sync::watch;
use tokio::time::Instant;

use super::applier::listener_rejection;
use super::retry::retry;
use super::{Applier, LeaderContact, Service, WorkerHealth};
use crate::ListenError;

/// What a worker in the leader's own process has in service: an acknowledgement without the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub root: Root,
    pub as_of: AsOf,
    /// Objects that can't be used and listeners that aren't open, with the reason.
    pub rejected: Vec<(Key, String)>,
    /// Why the newest snapshot was refused as a whole; the rest is about the one before, which still serves.
    pub refused: Option<String>,
}

/// Puts in service what the leader in this process publishes, until `shutdown` changes or the leader is gone. What comes
/// while one is applied is merged: the newest is next. `report` is called after each, also if only the as-of rose, and when
/// other listeners than before can't be opened.
pub async fn follow<S: Service>(
    mut snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    applier: Arc<Applier<S>>,
    health: watch::Sender<WorkerHealth>,
    report: impl Fn(Report) + Send,
    mut shutdown: watch::Receiver<bool>,
) {
    health.send_modify(|health| {
        health.leader = LeaderContact::Local;
        health.ready = Err("waiting for the first plan of all sources".to_owned());
    });
    let mut retry = pin!(retry(applier.clone()));
    let unopened = applier.unopened();
    let mut follower = Follower { applier, health, unopened, closed: Vec::new(), last: None, refused: None };
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        if let Some(snapshot) = snapshot {
            follower.take(&snapshot).await;
            follower.report().into_iter().for_each(&report);
        }
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() { break },
            // The snapshot is the one from before: only how it stands with it is told anew.
            Ok(()) = follower.unopened.changed() => {}
            never = &mut retry => match never {},
            _ = shutdown.changed() => break,
        }
    }
}

struct Follower<S: Service> {
    applier: Arc<Applier<S>>,
    health: watch::Sender<WorkerHealth>,
    unopened: watch::Receiver<Vec<ListenError>>,
    /// What was last seen in `unopened`.
    closed: Vec<ListenError>,
    /// Without the listeners.
    last: Option<Report>,
    refused: Option<Root>,
}

impl<S: Service> Follower<S> {
    async fn take(&mut self, snapshot: &Snapshot) {
        let (root, as_of) = (snapshot.root(), snapshot.as_of().clone());
        if let Some(last) = self.last.as_mut().filter(|last| last.root == root) {
            last.as_of = as_of;
            last.refused = None;
            self.refused = None;
        } else if self.refused != Some(root) {
            let (applier, snapshot) = (self.applier.clone(), snapshot.clone());
            let applied = tokio::task::spawn_blocking(move || applier.apply(snapshot)).await;
            match applied
                .map_err(|error| error.to_string())
                .and_then(|it| it.map_err(|error| error.to_string()))
            {
                Ok(applied) => {
                    self.refused = None;
                    self.last = Some(Report { root, as_of, rejected: applied.rejected, refused: None });
                }
                Err(reason) => self.refuse(root, reason),
            }
        }
        self.closed.clone_from(&self.unopened.borrow_and_update());
        self.health.send_modify(|health| self.show(health));
    }

    fn report(&self) -> Option<Report> {
        let mut report = self.last.clone()?;
        report.rejected.extend(self.closed.iter().map(listener_rejection));
        Some(report)
    }

    fn refuse(&mut self, root: Root, reason: String) {
        tracing::error!(%root, reason, "a snapshot was refused; the one before still serves");
        self.refused = Some(root);
        self.health.send_modify(|health| health.refused = Some((root, reason.clone())));
        if let Some(last) = &mut self.last {
            last.refused = Some(reason);
        }
    }

    fn show(&self, health: &mut WorkerHealth) {
        health.last_contact = Some(Instant::now());
        if self.refused.is_none() {
            health.refused = None;
        }
        health.applied = self.last.as_ref().map(|last| (last.root, Source::Leader));
        health.rejected = self.last.as_ref().map_or(0, |last| last.rejected.len() + self.closed.len());
        if self.last.is_some() {
            health.settle(Ok(()), &self.closed);
        } else if let Some((_, reason)) = &health.refused {
            health.ready = Err(format!("the first snapshot was refused: {reason}"));
        }
    }
}
