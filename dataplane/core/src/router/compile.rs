use std::collections::BTreeSet;
use std::sync::Arc;

use dataplane_snapshot::{Key, Kind, wire};

use super::backends::Material;
use super::routes::{Regexes, RouteEntry};
use super::{Compiled, Router};
use crate::certificates::{Certificates, Lookup};
use crate::served::Served;
use crate::{BackendStates, CompiledListener};

/// One step from a router to the next.
pub(super) struct Step<'a> {
    states: &'a BackendStates,
    next: Router,
}

impl<'a> Step<'a> {
    pub(super) fn new(previous: Option<&Router>, states: &'a BackendStates) -> Self {
        Self { states, next: previous.cloned().unwrap_or_default() }
    }

    pub(super) fn run(mut self, served: &Served) -> Compiled {
        let earlier = std::mem::replace(&mut self.next.made_of, served.without_fallback());
        let changed = served.changed_since(&earlier);
        let has_changed = |kind| !of_kind(&changed, kind).is_empty();
        // Whatever names them may have to be compiled again, too.
        let material = has_changed(Kind::Certificate) || has_changed(Kind::Secret);
        if material {
            self.certificates(served);
        }
        if material || has_changed(Kind::Listener) {
            self.listeners(served);
        }
        self.routes(served, of_kind(&changed, Kind::Route));
        let endpoints = of_kind(&changed, Kind::Endpoints).iter().map(|key| key.with_kind(Kind::Backend));
        let mut backends: BTreeSet<Key> = endpoints.collect();
        backends.extend(of_kind(&changed, Kind::Backend).iter().copied().cloned());
        if material {
            backends.extend(served.objects_of(Kind::Backend).map(|object| object.key().clone()));
        }
        self.backends(served, &backends);
        let rejected = self.rejected();
        Compiled { router: self.next, rejected }
    }

    fn rejected(&self) -> Vec<(Key, String)> {
        let Router { rejected, routes, backends, .. } = &self.next;
        let of_route = |key: &Key| Some((key.clone(), routes.get(key)?.rejected.clone()?));
        let of_routes = rejected.routes.keys().filter_map(of_route);
        let others = rejected.certificates.iter().chain(&*rejected.listeners).cloned();
        others.chain(of_routes).chain(backends.rejected()).collect()
    }

    /// Before what names them.
    fn certificates(&mut self, served: &Served) {
        let certificates: Vec<_> = served.objects_of(Kind::Certificate).collect();
        let secrets: Vec<_> = served.objects_of(Kind::Secret).collect();
        let mut rejected = Vec::new();
        let previous = &self.next.certificates;
        let next = Certificates::compile(previous, &certificates, &secrets, &mut rejected);
        self.next.certificates = next;
        self.next.rejected.certificates = rejected.into();
    }

    fn listeners(&mut self, served: &Served) {
        let mut listeners: Vec<CompiledListener> = Vec::new();
        let mut rejected = Vec::new();
        for object in served.objects_of(Kind::Listener) {
            let compiled = match object.decode() {
                Ok(wire::Payload::Listener(listener)) => {
                    let mut lookup = Lookup::new(&self.next.certificates);
                    CompiledListener::compile(object.key(), &listener, &mut lookup)
                }
                Ok(wire::Payload::Held(_)) => continue,
                Ok(_) => Err("it carries the payload of another kind".to_owned()),
                Err(error) => Err(error.to_string()),
            };
            match compiled {
                Ok(listener) if listeners.iter().any(|other| other.name == listener.name) => {
                    let reason = format!("another listener is called {} too", listener.name);
                    rejected.push((object.key().clone(), reason));
                }
                Ok(listener) => listeners.push(listener),
                Err(reason) => rejected.push((object.key().clone(), reason)),
            }
        }
        listeners.sort_by(|a, b| a.name.cmp(&b.name));
        for listener in &mut listeners {
            listener.share_tls(&self.next.listeners);
        }
        self.next.listeners = listeners.into();
        self.next.rejected.listeners = rejected.into();
    }

    fn routes(&mut self, served: &Served, changed: &[&Key]) {
        let mut regexes = Regexes::default();
        let mut entries = Vec::with_capacity(changed.len());
        for key in changed {
            if let Some(gone) = self.next.routes.get(key).cloned() {
                self.unplace(&gone);
            }
            let entry = served.object(key).map(|object| {
                let entry =
                    RouteEntry::compile(object, &mut self.next.backends, &mut regexes, self.states.usage());
                self.place(&entry);
                Arc::new(entry)
            });
            entries.push(((*key).clone(), entry));
        }
        let is_rejected = |entry: &Arc<RouteEntry>| entry.rejected.as_ref().map(|_| ());
        let rejected = entries.iter().map(|(key, entry)| (key.clone(), entry.as_ref().and_then(is_rejected)));
        self.next.rejected.routes.apply(rejected);
        self.next.routes.apply(entries);
    }

    fn place(&mut self, entry: &RouteEntry) {
        let hosts = Arc::make_mut(&mut self.next.hosts);
        entry.placements.iter().for_each(|placement| hosts.insert(placement));
        entry.destinations().for_each(|to| self.next.backends.hold(&to.backend));
    }

    fn unplace(&mut self, entry: &RouteEntry) {
        let hosts = Arc::make_mut(&mut self.next.hosts);
        entry.placements.iter().for_each(|placement| hosts.remove(placement));
        entry.destinations().for_each(|to| self.next.backends.let_go(&to.backend));
    }

    fn backends(&mut self, served: &Served, changed: &BTreeSet<Key>) {
        if !changed.is_empty() {
            let secrets: Vec<_> = served.objects_of(Kind::Secret).collect();
            let material = Material { certificates: &self.next.certificates, secrets: &secrets };
            for key in changed {
                let endpoints = served.object(&key.with_kind(Kind::Endpoints));
                self.next.backends.put(key, served.object(key), endpoints, material, self.states);
            }
        }
        if self.next.backends.release() || !changed.is_empty() {
            self.states.forget_vanished();
        }
    }
}

/// Those of one kind; keys are ordered by kind first.
fn of_kind<'o, 'k>(keys: &'o [&'k Key], kind: Kind) -> &'o [&'k Key] {
    let from = keys.partition_point(|key| key.kind() < kind);
    let rest = keys.get(from..).unwrap_or_default();
    rest.get(..rest.partition_point(|key| key.kind() == kind)).unwrap_or_default()
}
