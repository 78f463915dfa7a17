use std::sync::Arc;

use dataplane_snapshot::{Key, Object, ObjectHash, SharedMap, wire};

use crate::backend::Targets;
use crate::certificates::{Certificates, Lookup, Used};
use crate::passwords::{Passwords, UsedPasswords};
use crate::{BackendStates, CompiledBackend};

/// The backends by slot. A compiled route holds the number of a slot, so that a change of a backend or of its endpoints
/// leaves the route as it is. A slot keeps its number as long as a route or a backend uses it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backends {
    slots: Vec<Option<Arc<Slot>>>,
    numbers: SharedMap<Key, Numbered>,
    free: Vec<usize>,
    /// Those whose slots say what was rejected.
    rejecting: SharedMap<Key, ()>,
    /// Keys whose number may not be needed any more at the end of a step.
    doubtful: Vec<Key>,
}

/// The number of a key, and how often routes use it.
#[derive(Clone, Copy, Debug)]
struct Numbered {
    number: usize,
    uses: usize,
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
        if let Some(known) = self.numbers.get(key) {
            return known.number;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.numbers.insert(key.clone(), Numbered { number, uses: 0 });
        // It may be asked for by a route that is rejected in the end.
        self.doubtful.push(key.clone());
        number
    }

    /// A route uses the number of this key.
    pub(crate) fn hold(&mut self, key: &Key) {
        self.set_uses(key, |uses| uses.saturating_add(1));
    }

    /// A route that used it is gone.
    pub(crate) fn let_go(&mut self, key: &Key) {
        self.set_uses(key, |uses| uses.saturating_sub(1));
        self.doubtful.push(key.clone());
    }

    fn set_uses(&mut self, key: &Key, change: impl FnOnce(usize) -> usize) {
        if let Some(Numbered { number, uses }) = self.numbers.get(key).copied() {
            self.numbers.insert(key.clone(), Numbered { number, uses: change(uses) });
        }
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

    /// What was rejected, in the order of the backends' keys.
    pub(crate) fn rejected(&self) -> impl Iterator<Item = (Key, String)> {
        let slots =
            self.rejecting.keys().filter_map(|key| self.slots.get(self.numbers.get(key)?.number)?.as_ref());
        slots.flat_map(|slot| slot.rejected.iter().cloned())
    }

    /// Brings one slot up to its objects.
    pub(crate) fn put(
        &mut self,
        key: &Key,
        object: Option<&Object>,
        endpoints: Option<&Object>,
        material: Material<'_>,
        states: &BackendStates,
    ) {
        let Some(object) = object else { return self.remove(key) };
        let number = self.number(key);
        let Some(place) = self.slots.get_mut(number) else { return };
        let slot = match place.take() {
            Some(slot) if slot.is_of(object, endpoints, material) => slot,
            previous => Arc::new(Slot::compile(object, endpoints, previous.as_deref(), material, states)),
        };
        self.rejecting.apply([(key.clone(), (!slot.rejected.is_empty()).then_some(()))]);
        *place = Some(slot);
    }

    fn remove(&mut self, key: &Key) {
        let Some(Numbered { number, .. }) = self.numbers.get(key).copied() else { return };
        if let Some(place) = self.slots.get_mut(number) {
            *place = None;
        }
        self.rejecting.remove(key);
        self.doubtful.push(key.clone());
    }

    /// Frees the numbers that neither a backend nor a route uses. Whether there were any.
    pub(crate) fn release(&mut self) -> bool {
        let mut released = false;
        for key in std::mem::take(&mut self.doubtful) {
            let Some(Numbered { number, uses: 0 }) = self.numbers.get(&key).copied() else { continue };
            if self.slots.get(number).is_some_and(Option::is_none) {
                self.numbers.remove(&key);
                self.free.push(number);
                released = true;
            }
        }
        released
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
