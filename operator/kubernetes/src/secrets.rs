//! A watch for each Secret that is named, and for no other.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::Client;
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use crate::follow::{Ear, Follower, Heard};
use crate::named::{Named, SecretName};
use crate::scope::Scope;

pub(crate) struct Secrets {
    client: Client,
    heard: mpsc::Sender<(Ear, Heard)>,
    followed: BTreeMap<SecretName, AbortHandle>,
    /// Of the names that are followed.
    edition: u64,
    /// Ends them all when it is dropped.
    tasks: JoinSet<()>,
}

impl Secrets {
    pub(crate) fn new(client: Client, heard: mpsc::Sender<(Ear, Heard)>) -> Self {
        Self { client, heard, followed: BTreeMap::new(), edition: 0, tasks: JoinSet::new() }
    }

    /// Follows those that are named, and lets go of others.
    pub(crate) fn follow(&mut self, named: &Named) {
        if std::mem::replace(&mut self.edition, named.edition()) == named.edition() {
            return;
        }
        self.followed.retain(|name, task| {
            let stays = named.contains(name);
            if !stays {
                task.abort();
            }
            stays
        });
        while self.tasks.try_join_next().is_some() {}
        for name in named.iter().filter(|name| !self.followed.contains_key(*name)).collect::<Vec<_>>() {
            let follower = Follower {
                ear: Ear::Secret(name.clone()),
                scope: Scope::of_secret(name),
                client: self.client.clone(),
                heard: self.heard.clone(),
                again: Arc::new(Notify::new()),
                version: 0,
            };
            self.followed.insert(name.clone(), self.tasks.spawn(follower.run()));
        }
    }
}
