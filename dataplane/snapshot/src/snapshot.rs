use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{AsOf, Key, Kind, Object, Root, SetHash};

/// An immutable set of objects with its root and its as-of vector. Clones share the objects.
#[derive(Clone, Debug)]
pub struct Snapshot {
    objects: Arc<BTreeMap<Key, Object>>,
    set_hash: SetHash,
    root: Root,
    as_of: AsOf,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self::new([], AsOf::default())
    }
}

impl Snapshot {
    /// Of several objects with one key the last one stays.
    pub fn new(objects: impl IntoIterator<Item = Object>, as_of: AsOf) -> Self {
        let objects: BTreeMap<_, _> =
            objects.into_iter().map(|object| (object.key().clone(), object)).collect();
        let mut set_hash = SetHash::default();
        objects.values().for_each(|object| set_hash.insert(object));
        Self { objects: Arc::new(objects), root: set_hash.root(), set_hash, as_of }
    }

    pub const fn root(&self) -> Root {
        self.root
    }

    pub const fn as_of(&self) -> &AsOf {
        &self.as_of
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    pub fn get(&self, key: &Key) -> Option<&Object> {
        self.objects.get(key)
    }

    /// All objects in the order of their keys.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }

    pub fn objects_of(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        let first = Key::new(kind, "", "");
        self.objects
            .range(first..)
            .map(|(_, object)| object)
            .take_while(move |object| object.key().kind() == kind)
    }

    /// The same objects, seen as of a later state of the sources. Costs nothing that depends on the number of objects.
    pub fn with_as_of(&self, as_of: AsOf) -> Self {
        Self { as_of, ..self.clone() }
    }

    /// The same objects but for [`Kind::Secret`], for those who may not have them. Its root is another one if there are any.
    pub fn without_secrets(&self) -> Self {
        let secrets: Vec<_> = self.objects_of(Kind::Secret).map(|object| object.key().clone()).collect();
        if secrets.is_empty() { self.clone() } else { self.edit([], &secrets, self.as_of.clone()) }
    }

    /// This snapshot with some objects put and some removed. The root costs one hash per changed object.
    pub fn edit(&self, upserts: impl IntoIterator<Item = Object>, removals: &[Key], as_of: AsOf) -> Self {
        let mut next = self.clone();
        let objects = Arc::make_mut(&mut next.objects);
        for key in removals {
            if let Some(old) = objects.remove(key) {
                next.set_hash.remove(&old);
            }
        }
        for object in upserts {
            next.set_hash.insert(&object);
            if let Some(old) = objects.insert(object.key().clone(), object) {
                next.set_hash.remove(&old);
            }
        }
        next.root = next.set_hash.root();
        next.as_of = as_of;
        next
    }
}
