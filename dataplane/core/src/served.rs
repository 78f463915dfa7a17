use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use dataplane_snapshot::{DecodeError, Diff, Key, Kind, Object, Snapshot, diff, wire};

/// What a worker serves: a snapshot, in which the last good version stands in for each object that is held by the leader
/// or was rejected by this worker's own compile step, if this worker ever had a good one.
///
/// A key that is neither held nor rejected serves exactly the snapshot's object. A key that leaves the snapshot takes its
/// stand-in with it: a deletion is never undone by an old version.
#[derive(Clone, Debug, Default)]
pub struct Served {
    snapshot: Snapshot,
    /// In service now, by the key that they stand in for.
    retained: BTreeMap<Key, Good>,
    /// Not in service, but would be if the compile step rejects the snapshot's object.
    fallback: BTreeMap<Key, Good>,
    /// Rejected, with nothing to stand in.
    rejected: BTreeSet<Key>,
    /// What is served instead of, or beside, the snapshot's objects; made from `retained`.
    overlay: BTreeMap<Key, Object>,
}

/// A good version of an object with the parts that it is no good without: a backend's endpoints, a route's inline backends,
/// the certificates and the password that it names. A held object doesn't give its parts, so they would be missing from the snapshot.
#[derive(Clone, Debug, PartialEq)]
struct Good {
    object: Object,
    parts: Vec<Object>,
}

impl Served {
    pub fn new(snapshot: Snapshot) -> Self {
        Self { snapshot, ..Self::default() }
    }

    /// From a state file: the snapshot and what [`Self::retained`] gave. Objects that were rejected before are tried again,
    /// since this program may be a newer one than the one that rejected them.
    pub fn restore(snapshot: Snapshot, retained: impl IntoIterator<Item = Object>) -> Self {
        let objects: BTreeMap<_, _> =
            retained.into_iter().map(|object| (object.key().clone(), object)).collect();
        let mut served = Self::new(snapshot);
        for (key, object) in &objects {
            let good = || Good::new(object.clone(), |part| objects.get(part).cloned());
            match served.snapshot.get(key) {
                Some(current) if is_held(current) => served.retained.insert(key.clone(), good()),
                Some(current) if current != object => served.fallback.insert(key.clone(), good()),
                // As it was, but something that it names is gone.
                Some(_) => {
                    let good = good();
                    let lost = good.parts.iter().any(|part| served.snapshot.get(part.key()).is_none());
                    if lost { served.fallback.insert(key.clone(), good) } else { None }
                }
                None => None,
            };
        }
        served.make_overlay();
        served
    }

    /// What is served after `next`, if the compile step rejects nothing. See [`Self::reject`].
    pub fn advance(&self, next: Snapshot) -> Self {
        let changed = diff(&self.snapshot, &next);
        let users = self.users_of_lost_material(&changed);
        let candidates = changed.upserts.iter().map(Object::key).chain(self.retained.keys()).chain(&users);
        let mut served = Self::new(next);
        for key in candidates {
            let (Some(current), Some(good)) = (served.snapshot.get(key), self.good(key)) else { continue };
            let place = if is_held(current) { &mut served.retained } else { &mut served.fallback };
            place.insert(key.clone(), good);
        }
        served.make_overlay();
        served
    }

    /// Calls `compile` until it rejects nothing more, with last good versions in the place of what it rejects. Gives its last
    /// result and all that was rejected: the first reason of a key is about the snapshot's object, a later one about what
    /// stood in for it.
    pub fn settle<R>(
        &mut self,
        mut compile: impl FnMut(&Self) -> (R, Vec<(Key, String)>),
    ) -> (R, Vec<(Key, String)>) {
        let mut reasons: BTreeMap<Key, String> = BTreeMap::new();
        loop {
            let (result, rejected) = compile(self);
            for (key, reason) in &rejected {
                reasons.entry(key.clone()).or_insert_with(|| reason.clone());
            }
            if !self.reject(&rejected) {
                return (result, reasons.into_iter().collect());
            }
        }
    }

    /// Takes note of what the compile step rejected. True if something else is served now, so that the caller must
    /// compile again; this comes to an end, as each key steps at most from new to last good to none.
    pub fn reject(&mut self, rejected: &[(Key, String)]) -> bool {
        let mut changed = false;
        for (key, _) in rejected {
            if let Some(good) = self.fallback.remove(key) {
                self.retained.insert(key.clone(), good);
                changed = true;
            } else {
                changed |= self.retained.remove(key).is_some();
                self.rejected.insert(key.clone());
            }
        }
        if changed {
            self.make_overlay();
        }
        changed
    }

    pub const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The last good versions in service, with their parts. For the state file; not in the order of keys.
    pub fn retained(&self) -> impl Iterator<Item = &Object> {
        self.retained.values().flat_map(|good| std::iter::once(&good.object).chain(&good.parts))
    }

    /// What is served under `key`: the snapshot's object, or the last good version that stands in for it.
    pub fn object(&self, key: &Key) -> Option<&Object> {
        self.overlay.get(key).or_else(|| self.snapshot.get(key))
    }

    /// The decoded form of [`Self::object`]. [`wire::Payload::Held`] if there never was a good version.
    pub fn payload(&self, key: &Key) -> Option<Result<wire::Payload, DecodeError>> {
        self.object(key).map(Object::decode)
    }

    /// All that is served, each key once, in the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Object)> {
        joined(self.snapshot.objects(), self.overlay.values()).map(|object| (object.key(), object))
    }

    /// As [`Self::iter`], of one kind.
    pub fn objects_of(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        let overlay = self.overlay.range(Key::new(kind, "", "")..).map(|(_, object)| object);
        let overlay = overlay.take_while(move |object| object.key().kind() == kind);
        joined(self.snapshot.objects_of(kind), overlay)
    }

    /// The keys under which something else is served than in `earlier`, in their order. Costs what differs, if one snapshot
    /// was made from the other.
    pub(crate) fn changed_since<'a>(&'a self, earlier: &'a Self) -> Vec<&'a Key> {
        let mut keys: Vec<_> = earlier.snapshot.differences(&self.snapshot).map(|(key, _, _)| key).collect();
        if !earlier.overlay.is_empty() || !self.overlay.is_empty() {
            keys.extend(earlier.overlay.keys().chain(self.overlay.keys()));
            keys.sort_unstable();
            keys.dedup();
            keys.retain(|key| earlier.object(key).map(Object::hash) != self.object(key).map(Object::hash));
        }
        keys
    }

    /// What is served, without what could be.
    pub(crate) fn without_fallback(&self) -> Self {
        let (snapshot, overlay) = (self.snapshot.clone(), self.overlay.clone());
        Self { snapshot, overlay, ..Self::default() }
    }

    fn good(&self, key: &Key) -> Option<Good> {
        if let Some(good) = self.retained.get(key) {
            return Some(good.clone());
        }
        let object =
            self.snapshot.get(key).filter(|object| !is_held(object) && !self.rejected.contains(key))?;
        Some(Good::new(object.clone(), |part| self.object(part).filter(|part| !is_held(part)).cloned()))
    }

    /// What names certificates or passwords, if one of those or a private key is gone: it is rejected without having changed
    /// itself.
    fn users_of_lost_material(&self, changed: &Diff) -> Vec<Key> {
        if !changed.removals.iter().any(is_material) {
            return Vec::new();
        }
        let users = [Kind::Listener, Kind::Backend, Kind::Endpoints];
        let users = users.into_iter().flat_map(|kind| self.snapshot.objects_of(kind));
        let users = users.filter(|object| parts_of(object).iter().any(is_material));
        users.map(|object| object.key().clone()).collect()
    }

    fn make_overlay(&mut self) {
        let mut overlay: BTreeMap<_, _> =
            self.retained.iter().map(|(key, good)| (key.clone(), good.object.clone())).collect();
        for (good, part) in
            self.retained.values().flat_map(|good| good.parts.iter().map(move |part| (good, part)))
        {
            // A part that the snapshot has in good order is the newer one: pods move also while their backend is held.
            if self.snapshot.get(part.key()).is_some_and(|now| !is_held(now)) {
                continue;
            }
            let Entry::Vacant(entry) = overlay.entry(part.key().clone()) else { continue };
            entry.insert(part.clone());
            // A private key fits its own certificate only.
            let certificate = part.key().with_kind(Kind::Certificate);
            if part.key().kind() == Kind::Secret
                && let Some(certificate) = good.parts.iter().find(|part| *part.key() == certificate)
            {
                overlay.insert(certificate.key().clone(), certificate.clone());
            }
        }
        self.overlay = overlay;
    }
}

/// Two lists in the order of keys as one. Of two objects with one key that of `over` counts.
fn joined<'o>(
    base: impl Iterator<Item = &'o Object>,
    over: impl Iterator<Item = &'o Object>,
) -> impl Iterator<Item = &'o Object> {
    let (mut base, mut over) = (base.peekable(), over.peekable());
    std::iter::from_fn(move || match (base.peek(), over.peek()) {
        (Some(a), Some(b)) if a.key() < b.key() => base.next(),
        (Some(a), Some(b)) => {
            if a.key() == b.key() {
                base.next();
            }
            over.next()
        }
        (_, None) => base.next(),
        (None, _) => over.next(),
    })
}

impl Good {
    fn new(object: Object, find: impl Fn(&Key) -> Option<Object>) -> Self {
        let mut parts: Vec<Object> = Vec::new();
        let mut wanted = parts_of(&object);
        // The parts of parts too: a backend's endpoints name certificates, and those have a private key.
        while let Some(key) = wanted.pop() {
            if parts.iter().all(|part| *part.key() != key)
                && let Some(part) = find(&key)
            {
                wanted.extend(parts_of(&part));
                parts.push(part);
            }
        }
        Self { object, parts }
    }
}

/// The keys of what `object` is no good without.
fn parts_of(object: &Object) -> Vec<Key> {
    match object.decode() {
        Ok(wire::Payload::Backend(backend)) => {
            let proxy = backend.client.and_then(|client| client.proxy);
            let password = proxy.and_then(|proxy| proxy.password.parse().ok());
            let password = password.filter(|key: &Key| key.kind() == Kind::Secret);
            password.into_iter().chain([object.key().with_kind(Kind::Endpoints)]).collect()
        }
        Ok(wire::Payload::Route(route)) => {
            let prefix = format!("{}~", object.key().name());
            let inline = |key: &Key| {
                key.kind() == Kind::Backend
                    && key.namespace() == object.key().namespace()
                    && key.name().starts_with(&prefix)
            };
            let destinations = route.rules.iter().flat_map(|rule| &rule.destinations);
            let backends: BTreeSet<Key> =
                destinations.filter_map(|to| to.backend.parse().ok()).filter(inline).collect();
            backends.into_iter().flat_map(|key| [key.with_kind(Kind::Endpoints), key]).collect()
        }
        Ok(wire::Payload::Endpoints(endpoints)) => {
            let tls = endpoints.targets.iter().filter_map(|target| target.tls.as_ref());
            certificates(tls.flat_map(|tls| tls.client_certificates.iter().chain(&tls.trusted)))
        }
        Ok(wire::Payload::Listener(wire::Listener { tls: Some(tls), .. })) => {
            certificates(tls.certificates.iter().chain(&tls.client_authorities))
        }
        Ok(wire::Payload::Certificate(_)) => vec![object.key().with_kind(Kind::Secret)],
        _ => Vec::new(),
    }
}

fn certificates<'k>(named: impl Iterator<Item = &'k String>) -> Vec<Key> {
    let keys = named.filter_map(|key| key.parse().ok());
    keys.filter(|key: &Key| key.kind() == Kind::Certificate).collect::<BTreeSet<_>>().into_iter().collect()
}

const fn is_material(key: &Key) -> bool {
    matches!(key.kind(), Kind::Certificate | Kind::Secret)
}

fn is_held(object: &Object) -> bool {
    matches!(object.decode(), Ok(wire::Payload::Held(_)))
}
