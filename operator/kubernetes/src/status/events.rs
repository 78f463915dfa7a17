//! Events on what changes in statuses. They are made by whoever writes the status, after the write, so that each change has one.

use std::time::Duration;

use dataplane_snapshot::Key;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use operator_core::conditions::{ConditionType, Status, shortened};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::entry::Write;
use crate::scope::api_resource;

/// The longest note in bytes, as the API has it.
const MAX_NOTE: usize = 1024;
/// The longest name of an object in bytes.
const MAX_NAME: usize = 253;
/// Events that wait to be sent; further ones are left out.
const WAITING: usize = 512;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Who reports, as a qualified name.
const CONTROLLER: &str = "komainu.dev/leader";

/// A condition that is another one now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flip {
    pub(super) is_warning: bool,
    /// The reason of the condition.
    pub(super) reason: String,
    pub(super) note: String,
}

/// What a write changes that is worth an event: the statuses of conditions, and the reason of Healthy. What is as it should be
/// from the beginning isn't worth one, nor is being on the way.
pub(super) fn flips(before: &[Condition], after: &[Condition]) -> Vec<Flip> {
    use ConditionType::{Accepted, Healthy, Programmed, Ready, ResolvedRefs};
    let mut flips: Vec<Flip> = Vec::new();
    for type_ in [Accepted, ResolvedRefs, Healthy, Programmed, Ready] {
        let find = |all: &'_ [Condition]| all.iter().find(|one| one.type_ == type_.as_str()).cloned();
        let (old, Some(new)) = (find(before), find(after)) else { continue };
        let is_good = new.status == Status::True.as_str();
        let is_bad = new.status == Status::False.as_str();
        let is_worth_it = match (&old, type_) {
            (Some(old), Healthy) => (&old.status, &old.reason) != (&new.status, &new.reason),
            (Some(old), _) => old.status != new.status,
            (None, Programmed | Ready) => is_good,
            (None, _) => is_bad,
        };
        // Ready tells why once more.
        let is_told = flips.iter().any(|flip| flip.reason == new.reason);
        if is_worth_it && !is_told {
            let is_warning = is_bad && !matches!(&*new.reason, "Propagating" | "NotProgrammed");
            flips.push(Flip { is_warning, note: note(type_, &new), reason: new.reason });
        }
    }
    flips
}

fn note(type_: ConditionType, condition: &Condition) -> String {
    let Condition { status, message, .. } = condition;
    let colon = if message.is_empty() { "" } else { ": " };
    shortened(format!("{} is {status}{colon}{message}", type_.as_str()), MAX_NOTE)
}

/// Sends events, one after the other, and never holds up whoever has one to send.
#[derive(Clone)]
pub(super) struct Events {
    sender: mpsc::Sender<Event>,
    instance: String,
}

impl Events {
    /// `instance` tells this process from others. The future sends until the last of the [`Events`] is gone.
    pub(super) fn new(client: Client, instance: &str) -> (Self, impl Future<Output = ()> + use<>) {
        let (sender, events) = mpsc::channel(WAITING);
        let instance = shortened(instance.to_owned(), 128);
        let instance = if instance.is_empty() { CONTROLLER.to_owned() } else { instance };
        (Self { sender, instance }, send(client, events))
    }

    /// Tells what a write that succeeded has changed.
    pub(super) fn tell(&self, write: &Write) {
        for flip in flips(&write.before, &write.conditions) {
            if self.sender.try_send(event(write, flip, &self.instance, Timestamp::now())).is_err() {
                tracing::debug!(key = %write.key, "an event is left out, as too many wait");
            }
        }
    }
}

async fn send(client: Client, mut events: mpsc::Receiver<Event>) {
    let mut is_told = false;
    while let Some(event) = events.recv().await {
        let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(client.clone(), namespace);
        let parameters = PostParams::default();
        let error = match timeout(REQUEST_TIMEOUT, api.create(&parameters, &event)).await {
            Ok(Ok(_)) => {
                is_told = false;
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()),
        };
        if !std::mem::replace(&mut is_told, true) {
            tracing::warn!(error, "Kubernetes: an event can't be made; statuses are written all the same");
        }
    }
}

fn event(write: &Write, flip: Flip, instance: &str, now: Timestamp) -> Event {
    let resource = api_resource(write.key.kind(), 0);
    let (namespace, name) = (write.key.namespace().to_owned(), write.key.name().to_owned());
    Event {
        metadata: ObjectMeta {
            name: Some(event_name(&write.key, &flip.reason, now)),
            namespace: Some(namespace.clone()),
            ..ObjectMeta::default()
        },
        regarding: Some(ObjectReference {
            api_version: Some(resource.api_version),
            kind: Some(resource.kind),
            namespace: Some(namespace),
            name: Some(name),
            uid: Some(write.uid.clone()),
            ..ObjectReference::default()
        }),
        event_time: Some(MicroTime(now)),
        type_: Some(if flip.is_warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(flip.reason),
        note: Some(flip.note),
        action: Some("WriteStatus".to_owned()),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        ..Event::default()
    }
}

/// The object's name with what no other event of it has: the moment and the reason.
fn event_name(key: &Key, reason: &str, now: Timestamp) -> String {
    let ending = format!(".{:x}.{}", now.as_nanosecond(), reason.to_ascii_lowercase());
    let end = key.name().floor_char_boundary(MAX_NAME.saturating_sub(ending.len()));
    let beginning = key.name().get(..end).unwrap_or_default().trim_end_matches(['-', '.']);
    format!("{beginning}{ending}")
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
