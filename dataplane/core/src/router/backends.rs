use std::sync::Arc;

use dataplane_snapshot::{Key, Object, ObjectHash, wire};
use rustc_hash::FxHashMap;

use crate::backend::Targets;
use crate::certificates::{Certificates, Lookup, Used};
use crate::passwords::{Passwords, UsedPasswords};
use crate::{BackendStates, CompiledBackend};

/// The backends by slot. A compiled route holds the number of a slot, so that a change of a backend or of its endpoints
/// leaves the route as it is. A slot keeps its number as long as a route or a backend uses it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backends {
    slots: Vec<Option<Arc<Slot>>>,
    numbers: Arc<FxHashMap<Key, usize>>,
    free: Vec<usize>,
}

/// A backend object with its endpoints object, compiled.
#[derive(Debug)]
struct Slot {
    backend_hash: ObjectHash,
    endpoints_hash: Option<ObjectHash>,
    /// Those that the targets name.
    certificates: Used,
    /// Those that the backend names.
    passwords: UsedPasswords,
    targets: Arc<Targets>,
    /// Or why it can't be served.
    backend: Result<CompiledBackend, Box<str>>,
    rejected: Vec<(Key, String)>,
}

/// What backends and their targets can name.
#[derive(Clone, Copy)]
pub(crate) struct Material<'m> {
    pub(crate) certificates: &'m Certificates,
    /// In the order of keys.
    pub(crate) secrets: &'m [&'m Object],
}

impl Backends {
    /// The number for a key, which may have no backend yet.
    pub(crate) fn number(&mut self, key: &Key) -> usize {
        if let Some(number) = self.numbers.get(key) {
            return *number;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        Arc::make_mut(&mut self.numbers).insert(key.clone(), number);
        number
    }

    #[inline]
    pub(crate) fn get(&self, number: usize) -> Result<&CompiledBackend, &str> {
        match self.slots.get(number) {
            Some(Some(slot)) => slot.backend.as_ref().map_err(|reason| &**reason),
            _ => Err("its backend is not there"),
        }
    }

    /// Those that can be served.
    pub(crate) fn compiled(&self) -> impl Iterator<Item = &CompiledBackend> {
        self.slots.iter().flatten().filter_map(|slot| slot.backend.as_ref().ok())
    }

    /// Brings all slots up to the given objects, each with the object of its endpoints. `in_use` gives the numbers that
    /// routes hold. The result is what was rejected.
    pub(crate) fn update<'o>(
        &mut self,
        objects: impl Iterator<Item = (&'o Object, Option<&'o Object>)>,
        in_use: impl Iterator<Item = usize>,
        material: Material<'_>,
        states: &BackendStates,
    ) -> Vec<(Key, String)> {
        let mut old = std::mem::take(&mut self.slots);
        self.slots.resize(old.len(), None);
        let mut rejected = Vec::new();
        for (object, endpoints) in objects {
            let number = self.number(object.key());
            let previous = old.get_mut(number).and_then(Option::take);
            let slot = match previous {
                Some(slot) if slot.is_of(object, endpoints, material) => slot,
                previous => Arc::new(Slot::compile(object, endpoints, previous.as_deref(), material, states)),
            };
            rejected.extend(slot.rejected.iter().cloned());
            if let Some(place) = self.slots.get_mut(number) {
                *place = Some(slot);
            }
        }
        self.release(in_use);
        rejected
    }

    /// Frees the numbers that neither a backend nor a route uses.
    fn release(&mut self, in_use: impl Iterator<Item = usize>) {
        let mut used: Vec<bool> = self.slots.iter().map(Option::is_some).collect();
        for number in in_use {
            if let Some(mark) = used.get_mut(number) {
                *mark = true;
            }
        }
        let is_used = |number: usize| used.get(number).copied().unwrap_or_default();
        if self.numbers.len() > used.iter().filter(|used| **used).count() {
            Arc::make_mut(&mut self.numbers).retain(|_, number| is_used(*number));
            self.free = (0..used.len()).filter(|number| !is_used(*number)).collect();
        }
    }
}

impl Slot {
    fn is_of(&self, backend: &Object, endpoints: Option<&Object>, material: Material<'_>) -> bool {
        self.backend_hash == *backend.hash()
            && self.endpoints_hash.as_ref() == endpoints.map(Object::hash)
            && self.certificates.is_current(material.certificates)
            && self.passwords.are_current(material.secrets)
    }

    fn compile(
        object: &Object,
        endpoints: Option<&Object>,
        previous: Option<&Self>,
        material: Material<'_>,
        states: &BackendStates,
    ) -> Self {
        let Material { certificates, secrets } = material;
        let mut rejected = Vec::new();
        let key = object.key();
        let endpoints_hash = endpoints.map(|endpoints| *endpoints.hash());
        // Rejected endpoints are compiled again, so that they are reported again.
        let same_targets = previous
            .filter(|slot| slot.endpoints_hash == endpoints_hash)
            .filter(|slot| slot.certificates.is_current(certificates))
            .filter(|slot| slot.rejected.iter().all(|(rejected, _)| rejected == key));
        let mut lookup = Lookup::new(certificates);
        let targets = match (same_targets, endpoints) {
            (Some(slot), _) => Arc::clone(&slot.targets),
            (None, endpoints) => Arc::new(
                endpoints
                    .and_then(|endpoints| {
                        compile_targets(key, endpoints, states, &mut lookup)
                            .map_err(|reason| rejected.push((endpoints.key().clone(), reason)))
                            .ok()?
                    })
                    .unwrap_or_else(|| Targets::none(key, states)),
            ),
        };
        let same_backend = previous
            .filter(|slot| slot.backend_hash == *object.hash() && slot.passwords.are_current(secrets))
            .and_then(|slot| Some((slot.backend.as_ref().ok()?, &slot.passwords)));
        let (backend, passwords) = match same_backend {
            Some((backend, passwords)) => (Ok(backend.with_targets(Arc::clone(&targets))), passwords.clone()),
            None => {
                let mut passwords = Passwords::new(secrets);
                let backend = compile_backend(object, &targets, states, &mut passwords, &mut rejected);
                (backend, passwords.into_used())
            }
        };
        let certificates = same_targets.map_or_else(|| lookup.into_used(), |slot| slot.certificates.clone());
        let backend_hash = *object.hash();
        Self { backend_hash, endpoints_hash, certificates, passwords, targets, backend, rejected }
    }
}

/// `None` if the leader holds the endpoints.
fn compile_targets(
    key: &Key,
    object: &Object,
    states: &BackendStates,
    lookup: &mut Lookup<'_>,
) -> Result<Option<Targets>, String> {
    match object.decode().map_err(|error| error.to_string())? {
        wire::Payload::Endpoints(endpoints) => Targets::compile(key, &endpoints, states, lookup).map(Some),
        wire::Payload::Held(_) => Ok(None),
        _ => Err("it carries the payload of another kind".to_owned()),
    }
}

fn compile_backend(
    object: &Object,
    targets: &Arc<Targets>,
    states: &BackendStates,
    passwords: &mut Passwords<'_>,
    rejected: &mut Vec<(Key, String)>,
) -> Result<CompiledBackend, Box<str>> {
    let key = object.key();
    let compiled = match object.decode() {
        Ok(wire::Payload::Backend(backend)) => {
            CompiledBackend::compile(key.clone(), &backend, Arc::clone(targets), states, passwords)
        }
        Ok(wire::Payload::Held(held)) => return Err(held.reason.into()),
        Ok(_) => Err("it carries the payload of another kind".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    compiled.map_err(|reason| {
        let shown = format!("its backend {} is refused: {reason}", key.name());
        rejected.push((key.clone(), reason));
        shown.into()
    })
}

#[cfg(test)]
impl Backends {
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}
