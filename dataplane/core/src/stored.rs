//! What a worker's state file holds, without I/O: which rows a write changes, and what is made of the rows at a start.

use std::collections::BTreeMap;

use bytes::Bytes;
use dataplane_snapshot::{AsOf, Key, KeyError, Object, Root, Snapshot, diff, wire};
use prost::Message as _;

use crate::served::Served;

/// The version of the rows.
pub const FORMAT_VERSION: u32 = 1;

/// All rows of a file, as they were read.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// [`FORMAT_VERSION`], most significant byte first.
    pub format: Vec<u8>,
    pub root: Vec<u8>,
    /// A [`wire::WireAsOf`].
    pub as_of: Vec<u8>,
    pub objects: BTreeMap<String, Bytes>,
    /// What [`Served::retained`] gave.
    pub retained: BTreeMap<String, Bytes>,
}

/// Why the rows of a file aren't used.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    #[error("its format isn't version {FORMAT_VERSION}")]
    Format,
    #[error("its as-of can't be read: {0}")]
    AsOf(#[from] prost::DecodeError),
    #[error("{0}")]
    Key(#[from] KeyError),
    #[error("its objects don't have the root that was written with them")]
    Root,
}

/// The objects that a file is known to hold.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    snapshot: Snapshot,
    retained: BTreeMap<Key, Object>,
}

/// What makes a file hold something else, in one transaction.
#[derive(Clone, Debug)]
pub struct Changes {
    pub objects: Rows,
    pub retained: Rows,
    pub format: [u8; 4],
    pub root: Root,
    /// A [`wire::WireAsOf`].
    pub as_of: Vec<u8>,
}

/// What changes in one table.
#[derive(Clone, Debug)]
pub struct Rows {
    pub upserts: Vec<Object>,
    pub removals: Vec<Key>,
}

impl Content {
    /// What the file holds, and what is served from it.
    pub fn verify(self) -> Result<(Stored, Served), ContentError> {
        if self.format != FORMAT_VERSION.to_be_bytes() {
            return Err(ContentError::Format);
        }
        let as_of = wire::as_of_from_wire(wire::WireAsOf::decode(&*self.as_of)?);
        let snapshot = Snapshot::new(objects(self.objects)?, as_of);
        if Root::from_slice(&self.root) != Some(snapshot.root()) {
            return Err(ContentError::Root);
        }
        let retained = objects(self.retained)?;
        let served = Served::restore(snapshot.clone(), retained.iter().cloned());
        Ok((Stored { snapshot, retained: by_key(retained) }, served))
    }
}

impl Stored {
    pub fn of(served: &Served) -> Self {
        Self { snapshot: served.snapshot().clone(), retained: by_key(served.retained().cloned()) }
    }

    /// What makes a file with these objects hold `next`, as of `as_of`.
    pub fn changes_to(&self, next: &Self, as_of: &AsOf) -> Changes {
        let changed = diff(&self.snapshot, &next.snapshot);
        let upserts = next.retained.iter().filter(|(key, object)| self.retained.get(key) != Some(object));
        let removals = self.retained.keys().filter(|key| !next.retained.contains_key(key));
        Changes {
            objects: Rows { upserts: changed.upserts, removals: changed.removals },
            retained: Rows {
                upserts: upserts.map(|(_, object)| object.clone()).collect(),
                removals: removals.cloned().collect(),
            },
            format: FORMAT_VERSION.to_be_bytes(),
            root: next.snapshot.root(),
            as_of: wire::as_of_to_wire(as_of).encode_to_vec(),
        }
    }
}

/// As of what `served` is written. `known` is what was asked to be written, with an as-of that may have risen since it was
/// applied. What is in service may be newer than that; then its own as-of, maybe a lower one, is the right one for it.
pub fn as_of_in_service(served: &Served, known: (Root, AsOf)) -> AsOf {
    let (root, as_of) = known;
    if served.snapshot().root() == root { as_of } else { served.snapshot().as_of().clone() }
}

fn by_key(objects: impl IntoIterator<Item = Object>) -> BTreeMap<Key, Object> {
    objects.into_iter().map(|object| (object.key().clone(), object)).collect()
}

fn objects(rows: BTreeMap<String, Bytes>) -> Result<Vec<Object>, KeyError> {
    rows.into_iter().map(|(key, bytes)| Ok(Object::new(Key::of_any_kind(&key)?, bytes))).collect()
}

#[cfg(test)]
mod tests {
    use dataplane_snapshot::Kind;

    use super::*;

    fn object(name: &str, payload: wire::Payload) -> Object {
        Object::encode(Key::new(Kind::Route, "default", name), &payload.into())
    }

    fn route(name: &str, text: &str) -> Object {
        object(name, wire::Payload::Route(wire::Route { name: text.into(), ..Default::default() }))
    }

    fn held(name: &str) -> Object {
        object(name, wire::Payload::Held(wire::Held { reason: "broken".into(), route: None }))
    }

    /// The rows of a file, changed as a file is.
    fn write(content: &mut Content, changes: Changes) {
        let Changes { objects, retained, format, root, as_of } = changes;
        for (table, rows) in [(&mut content.objects, objects), (&mut content.retained, retained)] {
            rows.removals.iter().for_each(|key| drop(table.remove(&key.to_string())));
            let upserts = rows.upserts.into_iter();
            table.extend(upserts.map(|object| (object.key().to_string(), object.bytes().clone())));
        }
        (content.format, content.root, content.as_of) = (format.into(), root.0.into(), as_of);
    }

    fn reading(text: &'static str) -> impl Fn(&Served) -> ((), Vec<(Key, String)>) {
        move |served| {
            let bad = |object: &&Object| **object == route("r", text);
            let bad = served.iter().map(|(_, object)| object).filter(bad);
            ((), bad.map(|object| (object.key().clone(), "bad".to_owned())).collect())
        }
    }

    /// What was rejected before a restart and isn't any more has no last good version in the file either: it would come
    /// back in the place of a later object with its key.
    #[test]
    fn what_is_not_retained_after_a_start_leaves_the_file() {
        let mut served = Served::new(Snapshot::new([route("r", "old")], AsOf::default()))
            .advance(Snapshot::new([route("r", "new")], AsOf::default()));
        served.settle(reading("new"));
        let mut content = Content::default();
        write(&mut content, Stored::default().changes_to(&Stored::of(&served), &AsOf::default()));
        assert_eq!(content.retained.len(), 1);

        let (stored, mut served) = content.clone().verify().unwrap();
        served.settle(reading("nothing"));
        assert_eq!(served.object(route("r", "").key()), Some(&route("r", "new")));
        let served = served.advance(Snapshot::new([route("s", "x")], AsOf::default()));
        let next = Stored::of(&served);
        write(&mut content, stored.changes_to(&next, &AsOf::default()));
        let served = served.advance(Snapshot::new([held("r")], AsOf::default()));
        write(&mut content, next.changes_to(&Stored::of(&served), &AsOf::default()));

        let (_, restored) = content.verify().unwrap();
        assert_eq!(restored.object(route("r", "").key()), Some(&held("r")), "a deletion isn't undone");
    }

    #[test]
    fn an_object_of_a_kind_of_a_later_version_stays_in_the_file() {
        let later = Object::new(Key::of_any_kind("shoe/x/y").unwrap(), Bytes::from_static(b"\xff"));
        let snapshot = Snapshot::new([route("r", "one"), later], AsOf::default());
        let served = Served::new(snapshot.clone());
        let mut content = Content::default();
        write(&mut content, Stored::default().changes_to(&Stored::of(&served), &AsOf::default()));
        let (stored, restored) = content.clone().verify().unwrap();
        assert_eq!(restored.snapshot().root(), snapshot.root());
        let without = served.advance(Snapshot::new([route("r", "one")], AsOf::default()));
        write(&mut content, stored.changes_to(&Stored::of(&without), &AsOf::default()));
        assert_eq!(content.verify().unwrap().1.snapshot().root(), without.snapshot().root());
    }

    #[test]
    fn rows_that_are_not_what_was_written_are_refused() {
        let served = Served::new(Snapshot::new([route("r", "one")], AsOf::default()));
        let mut good = Content::default();
        write(&mut good, Stored::default().changes_to(&Stored::of(&served), &AsOf::default()));
        assert_eq!(good.clone().verify().unwrap().1.snapshot().root(), served.snapshot().root());
        let lost = Content { objects: BTreeMap::new(), ..good.clone() };
        assert!(matches!(lost.verify(), Err(ContentError::Root)));
        let other = Content { format: vec![0, 0, 0, 2], ..good.clone() };
        assert!(matches!(other.verify(), Err(ContentError::Format)));
        let cut = Content { as_of: vec![0xff], ..good };
        assert!(matches!(cut.verify(), Err(ContentError::AsOf(_))));
    }
}
