use std::collections::BTreeMap;
use std::time::Instant;

use dataplane_snapshot::Key;
use jiff::{Timestamp, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use operator_core::overview::Overviews;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::apply::{Applied, apply};
use super::events::Events;
use super::pace::Pace;
use crate::error::SourceError;
use crate::read::Present;
use crate::scope::Scope;

/// Status writes at one time.
const IN_FLIGHT: usize = 8;

/// What the source tells about statuses as the API server shows them.
pub(crate) enum Told {
    Shown(Key, Present),
    Gone(Key),
    /// All objects of a scope.
    Listed(Scope, BTreeMap<Key, Present>),
}

/// What is to be shown, and by whom.
pub(crate) struct Shows {
    pub(crate) overviews: watch::Receiver<Overviews>,
    /// While it is false nothing is written, and no event made: somebody else does it. When it turns true, only what differs
    /// from what is shown is written.
    pub(crate) may_write: watch::Receiver<bool>,
    /// Who it is, in events.
    pub(crate) instance: String,
}

/// Writes what there is to say, until the source tells nothing any more.
pub(crate) async fn show(client: Client, mut told: mpsc::UnboundedReceiver<Told>, shows: Shows) {
    let Shows { mut overviews, mut may_write, instance } = shows;
    let (events, sending) = Events::new(client.clone(), &instance);
    let mut background = JoinSet::new();
    background.spawn(sending);
    let mut pace = Pace::new(Instant::now());
    let mut writes = JoinSet::new();
    let mut last_error = None;
    pace.looked(&overviews.borrow_and_update());
    loop {
        let now = Instant::now();
        let free = if *may_write.borrow_and_update() { IN_FLIGHT.saturating_sub(writes.len()) } else { 0 };
        if free > 0 {
            for write in pace.due(free, now, &clock()) {
                writes.spawn(apply(client.clone(), write));
            }
        }
        let next = pace.next(now).filter(|_| free > 0 && writes.len() < IN_FLIGHT);
        tokio::select! {
            news = told.recv() => {
                let Some(news) = news else { return };
                take(&mut pace, news);
                while let Ok(news) = told.try_recv() {
                    take(&mut pace, news);
                }
            }
            Ok(()) = overviews.changed() => pace.looked(&overviews.borrow_and_update()),
            Ok(()) = may_write.changed() => pace.rest(),
            Some(applied) = writes.join_next() => match applied {
                Ok(applied) => ended(&mut pace, applied, &events, &mut last_error),
                Err(error) => tracing::error!(%error, "a status write ended unexpectedly"),
            },
            () = sleep_until(next.unwrap_or(now).into()), if next.is_some() => {}
        }
    }
}

fn take(pace: &mut Pace, news: Told) {
    match news {
        Told::Shown(key, present) => pace.shown(key, present),
        Told::Gone(key) => pace.gone(&key),
        Told::Listed(scope, listed) => {
            pace.only(&listed, |key| key.kind() == scope.kind() && scope.covers(key.namespace()));
            for (key, present) in listed {
                pace.shown(key, present);
            }
        }
    }
}

fn ended(pace: &mut Pace, applied: Applied, events: &Events, last_error: &mut Option<SourceError>) {
    let Applied { write, result } = applied;
    match result {
        Ok(present) => {
            *last_error = None;
            events.tell(&write);
            pace.done(write.key, present);
        }
        Err(error) => {
            let key = write.key;
            pace.failed(&key, Instant::now());
            match &error {
                // Deleted, or deleted and created anew: the watch tells.
                SourceError::Refused { code: 404 | 409, .. } => {
                    tracing::debug!(%key, %error, "no status written")
                }
                error if last_error.as_ref() == Some(error) => {}
                error => tracing::warn!(%key, %error, "the status can't be written; it is tried again"),
            }
            *last_error = Some(error);
        }
    }
}

/// Times of conditions have whole seconds.
fn clock() -> Time {
    let now = Timestamp::now();
    Time(now.round(Unit::Second).unwrap_or(now))
}
