use crate::{AsOf, Difference, Key, Kind, Object, Root, SetHash, SharedMap};

type Counts = [usize; Kind::ALL.len()];

/// An immutable set of objects with its root and its as-of vector. Clones share the objects, and so do a snapshot and its
/// edited copies.
#[derive(Clone, Debug)]
pub struct Snapshot {
    objects: SharedMap<Key, Object>,
    /// By the number of the kind.
    counts: Counts,
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
        let objects: SharedMap<_, _> =
            objects.into_iter().map(|object| (object.key().clone(), object)).collect();
        let mut set_hash = SetHash::default();
        let mut counts = Counts::default();
        for object in objects.values() {
            set_hash.insert(object);
            count(&mut counts, object, 1);
        }
        Self { objects, counts, root: set_hash.root(), set_hash, as_of }
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
        let objects = self.objects.range_from(&first).map(|(_, object)| object);
        objects.take_while(move |object| object.key().kind() == kind)
    }

    /// How many objects of this kind there are, without counting them.
    pub fn count_of(&self, kind: Kind) -> usize {
        self.counts.get(kind as usize).copied().unwrap_or_default()
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

    /// This snapshot with some objects put and some removed. Costs some hashes and copies of small parts per changed object,
    /// however many there are.
    pub fn edit(&self, upserts: impl IntoIterator<Item = Object>, removals: &[Key], as_of: AsOf) -> Self {
        if self.is_empty() {
            // All at once: several times as fast as one by one.
            return Self::new(upserts, as_of);
        }
        let mut next = self.clone();
        for key in removals {
            if let Some(old) = next.objects.remove(key) {
                next.take_out(&old);
            }
        }
        for object in upserts {
            next.set_hash.insert(&object);
            count(&mut next.counts, &object, 1);
            if let Some(old) = next.objects.insert(object.key().clone(), object) {
                next.take_out(&old);
            }
        }
        next.root = next.set_hash.root();
        next.as_of = as_of;
        next
    }

    fn take_out(&mut self, object: &Object) {
        self.set_hash.remove(object);
        count(&mut self.counts, object, -1);
    }

    /// What the two snapshots have differently under one key. Costs what differs, if one was made from the other.
    pub fn differences<'a>(&'a self, next: &'a Self) -> impl Iterator<Item = Difference<'a, Key, Object>> {
        // Most objects come from one snapshot into the next as they are.
        self.objects.differences(&next.objects, |a, b| a.is_shared_with(b) || a.hash() == b.hash())
    }
}

fn count(counts: &mut Counts, object: &Object, step: isize) {
    if let Some(count) = counts.get_mut(object.key().kind() as usize) {
        *count = count.saturating_add_signed(step);
    }
}
