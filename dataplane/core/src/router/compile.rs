use std::sync::Arc;

use dataplane_snapshot::{Key, Kind, Object, wire};

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
    rejected: Vec<(Key, String)>,
}

impl<'a> Step<'a> {
    pub(super) fn new(previous: Option<&Router>, states: &'a BackendStates) -> Self {
        Self { states, next: previous.cloned().unwrap_or_default(), rejected: Vec::new() }
    }

    pub(super) fn run(mut self, served: &Served) -> Compiled {
        let objects: Vec<&Object> = served.iter().map(|(_, object)| object).collect();
        let secrets = of_kind(&objects, Kind::Secret);
        self.certificates(of_kind(&objects, Kind::Certificate), secrets);
        self.listeners(of_kind(&objects, Kind::Listener));
        self.routes(of_kind(&objects, Kind::Route));
        self.backends(of_kind(&objects, Kind::Backend), of_kind(&objects, Kind::Endpoints), secrets);
        self.states.forget_vanished();
        Compiled { router: self.next, rejected: self.rejected }
    }

    /// Before what names them.
    fn certificates(&mut self, certificates: &[&Object], secrets: &[&Object]) {
        let previous = &self.next.certificates;
        let next = Certificates::compile(previous, certificates, secrets, &mut self.rejected);
        self.next.certificates = next;
    }

    fn listeners(&mut self, objects: &[&Object]) {
        let mut listeners: Vec<CompiledListener> = Vec::new();
        for object in objects {
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
                    self.rejected.push((object.key().clone(), reason));
                }
                Ok(listener) => listeners.push(listener),
                Err(reason) => self.rejected.push((object.key().clone(), reason)),
            }
        }
        listeners.sort_by(|a, b| a.name.cmp(&b.name));
        for listener in &mut listeners {
            listener.share_tls(&self.next.listeners);
        }
        self.next.listeners = listeners.into();
    }

    /// Both lists are in the order of keys, so one walk finds what is new, changed and gone.
    fn routes(&mut self, objects: &[&Object]) {
        let old = std::mem::take(&mut self.next.routes);
        let mut old = old.iter().peekable();
        let mut routes = Vec::with_capacity(objects.len());
        let mut regexes = Regexes::default();
        for object in objects {
            while let Some(gone) = old.next_if(|entry| entry.key < *object.key()) {
                self.unplace(gone);
            }
            let same = old.next_if(|entry| entry.key == *object.key());
            let entry = match same {
                Some(entry) if entry.hash == *object.hash() => Arc::clone(entry),
                changed => {
                    if let Some(entry) = changed {
                        self.unplace(entry);
                    }
                    let entry = RouteEntry::compile(object, &mut self.next.backends, &mut regexes);
                    self.place(&entry);
                    Arc::new(entry)
                }
            };
            if let Some(reason) = &entry.rejected {
                self.rejected.push((entry.key.clone(), reason.clone()));
            }
            routes.push(entry);
        }
        old.for_each(|gone| self.unplace(gone));
        self.next.routes = routes.into();
    }

    fn place(&mut self, entry: &RouteEntry) {
        let hosts = Arc::make_mut(&mut self.next.hosts);
        entry.placements.iter().for_each(|placement| hosts.insert(placement));
    }

    fn unplace(&mut self, entry: &RouteEntry) {
        let hosts = Arc::make_mut(&mut self.next.hosts);
        entry.placements.iter().for_each(|placement| hosts.remove(placement));
    }

    fn backends(&mut self, backends: &[&Object], endpoints: &[&Object], secrets: &[&Object]) {
        let mut endpoints = endpoints.iter().copied().peekable();
        let pairs = backends.iter().map(|backend| {
            let wanted = backend.key();
            let order = |object: &Object| {
                let key = object.key();
                key.namespace().cmp(wanted.namespace()).then_with(|| key.name().cmp(wanted.name()))
            };
            while endpoints.next_if(|object| order(object).is_lt()).is_some() {}
            (*backend, endpoints.next_if(|object| order(object).is_eq()))
        });
        let in_use = self.next.routes.iter().flat_map(|entry| entry.backends.iter().copied());
        let material = Material { certificates: &self.next.certificates, secrets };
        let rejected = self.next.backends.update(pairs, in_use, material, self.states);
        self.rejected.extend(rejected);
    }
}

/// The objects of one kind; keys are ordered by kind first.
fn of_kind<'o, 's>(objects: &'o [&'s Object], kind: Kind) -> &'o [&'s Object] {
    let from = objects.partition_point(|object| object.key().kind() < kind);
    let rest = objects.get(from..).unwrap_or_default();
    rest.get(..rest.partition_point(|object| object.key().kind() == kind)).unwrap_or_default()
}
