use std::collections::{BTreeMap, HashSet};
use std::fmt;

use bytes::Bytes;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::{AsOf, Epoch, Key, Kind, Object, Root, Snapshot, SourceAsOf, manifest};

/// The version of these messages. A peer answers another one with a sentence that names both.
pub const FORMAT_VERSION: u32 = 1;

/// A snapshot, as sent and as kept in a worker's state file: the whole of it, or what turns another one into it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct State {
    #[prost(uint32, tag = "1")]
    pub format_version: u32,
    #[prost(bytes = "bytes", tag = "2")]
    pub root: Bytes,
    #[prost(message, optional, tag = "3")]
    pub as_of: Option<WireAsOf>,
    /// All objects, or with a base those that it hasn't or has otherwise.
    #[prost(message, repeated, tag = "4")]
    pub objects: Vec<StateObject>,
    /// The root of the snapshot that this changes. Empty: this is a whole one.
    #[prost(bytes = "bytes", tag = "5")]
    pub base: Bytes,
    /// Keys of objects of the base that are gone.
    #[prost(string, repeated, tag = "6")]
    pub removals: Vec<String>,
    /// Ids of such objects, one behind the other, by a sender that knows the base from a manifest only.
    #[prost(bytes = "bytes", tag = "7")]
    pub removed_ids: Bytes,
    /// SHA-256 over root and as-of: the root covers the objects only, and an as-of that was damaged on the way could look
    /// later than all that ever comes. Empty: of a sender that doesn't know it.
    #[prost(bytes = "bytes", tag = "8")]
    pub seal: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct StateObject {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub bytes: Bytes,
}

impl fmt::Debug for StateObject {
    /// Without the bytes, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.key, self.bytes.len())
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct WireAsOf {
    #[prost(btree_map = "string, message", tag = "1")]
    pub sources: BTreeMap<String, WireSource>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct WireSource {
    #[prost(string, tag = "1")]
    pub epoch_id: String,
    #[prost(uint64, tag = "2")]
    pub epoch_created_at: u64,
    /// By the kind's word, so that an unknown kind is skipped and not misread.
    #[prost(btree_map = "string, uint64", tag = "3")]
    pub revisions: BTreeMap<String, u64>,
}

/// What a worker tells the leader once it has applied a snapshot.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ack {
    #[prost(bytes = "bytes", tag = "1")]
    pub root: Bytes,
    #[prost(message, optional, tag = "2")]
    pub as_of: Option<WireAsOf>,
    #[prost(message, repeated, tag = "3")]
    pub rejected: Vec<Rejection>,
    #[prost(message, optional, tag = "4")]
    pub member: Option<Member>,
    /// More objects are rejected than `rejected` has room for: any that isn't in it may be one.
    #[prost(bool, tag = "5")]
    pub more_rejected: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Rejection {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub reason: String,
}

/// What a leader hands on to the one that writes statuses: how the workers are that speak to it. As a report it says how things
/// are: it can come twice or late.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Relay {
    #[prost(message, repeated, tag = "1")]
    pub workers: Vec<RelayedWorker>,
    /// Ids of workers that have left in order.
    #[prost(string, repeated, tag = "2")]
    pub gone: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct RelayedWorker {
    #[prost(message, optional, tag = "1")]
    pub member: Option<Member>,
    /// The text of its scope; empty: everything.
    #[prost(string, tag = "2")]
    pub scope: String,
    /// The pod that it is the worker of; empty: of none.
    #[prost(string, tag = "3")]
    pub pod: String,
    /// For how long it hasn't been heard of, in milliseconds.
    #[prost(uint64, tag = "4")]
    pub silent: u64,
    /// What it has in service, with the root that a worker inside TLS would tell.
    #[prost(message, optional, tag = "5")]
    pub ack: Option<Ack>,
    /// Its reports since the last time, as they came.
    #[prost(bytes = "bytes", repeated, tag = "6")]
    pub reports: Vec<Bytes>,
    /// The place of its credentials in the leaders' settings, which are the same for all of them, from 1 on; 0: it has those for
    /// everything.
    #[prost(uint32, tag = "7")]
    pub client: u32,
}

/// The answer to a [`Relay`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct RelayAnswer {
    /// Ids of workers of which a report before isn't known: all has to be told.
    #[prost(string, repeated, tag = "1")]
    pub gaps: Vec<String>,
}

/// Who a worker is. The id is new per process, the name is the user's.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Member {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, tag = "3")]
    pub version: String,
}

/// Why a received state as a whole is refused. Nothing of it is used; the old one stays.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    #[error("not a state message: {0}")]
    Malformed(String),
    #[error("format version {theirs}, but this program reads version {FORMAT_VERSION}")]
    Version { theirs: u32 },
    #[error("the root is {0} bytes long instead of 32")]
    RootLength(usize),
    #[error("the objects have root {got}, but {expected} was promised")]
    WrongRoot { expected: Root, got: Root },
    #[error("object {key} has {bytes} bytes, more than the {} allowed", Object::MAX_BYTES)]
    ObjectSize { key: String, bytes: usize },
    #[error("{0}")]
    Key(#[from] crate::KeyError),
    #[error("{0} comes twice")]
    Repeated(Key),
    #[error("its as-of isn't the one that was sent")]
    Seal,
    #[error("it changes the state with root {base}, which isn't here")]
    Base { base: String },
}

impl State {
    pub fn from_snapshot(snapshot: &Snapshot) -> Self {
        Self { objects: snapshot.objects().map(StateObject::new).collect(), ..Self::head(snapshot) }
    }

    /// What turns the snapshot with root `base` into `snapshot`: some objects of it, and what is removed.
    pub fn from_base<'o>(
        base: Root,
        snapshot: &Snapshot,
        upserts: impl IntoIterator<Item = &'o Object>,
        removals: impl IntoIterator<Item = Key>,
    ) -> Self {
        Self {
            base: Bytes::copy_from_slice(&base.0),
            objects: upserts.into_iter().map(StateObject::new).collect(),
            removals: removals.into_iter().map(|key| key.to_string()).collect(),
            ..Self::head(snapshot)
        }
    }

    fn head(snapshot: &Snapshot) -> Self {
        let as_of = as_of_to_wire(snapshot.as_of());
        Self {
            format_version: FORMAT_VERSION,
            root: Bytes::copy_from_slice(&snapshot.root().0),
            seal: Bytes::copy_from_slice(&seal(&snapshot.root().0, &as_of)),
            as_of: Some(as_of),
            ..Self::default()
        }
    }

    /// Decodes and checks a whole state: version, sizes, keys, and that the objects have the promised root.
    pub fn decode_snapshot(bytes: Bytes) -> Result<Snapshot, StateError> {
        Self::decode_onto(bytes, None)
    }

    /// The same for what may also be the change of `base`. What isn't changed is shared with it.
    pub fn decode_onto(bytes: Bytes, base: Option<&Snapshot>) -> Result<Snapshot, StateError> {
        let state = Self::decode(bytes).map_err(|error| StateError::Malformed(error.to_string()))?;
        if state.format_version != FORMAT_VERSION {
            return Err(StateError::Version { theirs: state.format_version });
        }
        let expected = Root::from_slice(&state.root).ok_or(StateError::RootLength(state.root.len()))?;
        let as_of = state.as_of.unwrap_or_default();
        if !state.seal.is_empty() && state.seal[..] != seal(&state.root, &as_of) {
            return Err(StateError::Seal);
        }
        let objects = objects(state.objects)?;
        let as_of = as_of_from_wire(as_of);
        let snapshot = if state.base.is_empty() {
            Snapshot::new(objects, as_of)
        } else {
            let base = base.filter(|base| base.root().0[..] == state.base[..]).ok_or_else(|| {
                let base = Root::from_slice(&state.base).map_or_else(String::new, |root| root.to_string());
                StateError::Base { base }
            })?;
            let mut removals =
                state.removals.iter().map(|key| Key::of_any_kind(key)).collect::<Result<Vec<_>, _>>()?;
            removals.extend(manifest::keys_of(base, &state.removed_ids));
            base.edit(objects, &removals, as_of)
        };
        if snapshot.root() == expected {
            Ok(snapshot)
        } else {
            Err(StateError::WrongRoot { expected, got: snapshot.root() })
        }
    }
}

impl StateObject {
    fn new(object: &Object) -> Self {
        Self { key: object.key().to_string(), bytes: object.bytes().clone() }
    }
}

fn objects(objects: Vec<StateObject>) -> Result<Vec<Object>, StateError> {
    let mut keys = HashSet::with_capacity(objects.len());
    let mut read = Vec::with_capacity(objects.len());
    for StateObject { key, bytes } in objects {
        if bytes.len() > Object::MAX_BYTES {
            return Err(StateError::ObjectSize { key, bytes: bytes.len() });
        }
        let key = Key::of_any_kind(&key)?;
        if !keys.insert(key.clone()) {
            return Err(StateError::Repeated(key));
        }
        read.push(Object::new(key, bytes));
    }
    Ok(read)
}

/// The fields in their order, texts with their length before them: no two as-ofs are the same bytes. Fields that a later
/// version adds to the as-of are not in it, so that peers of both agree.
fn seal(root: &[u8], as_of: &WireAsOf) -> [u8; 32] {
    let mut hasher = Sha256::new();
    let mut text = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    text(root);
    for (name, source) in &as_of.sources {
        text(name.as_bytes());
        text(source.epoch_id.as_bytes());
        text(&source.epoch_created_at.to_le_bytes());
        text(&(source.revisions.len() as u64).to_le_bytes());
        for (kind, revision) in &source.revisions {
            text(kind.as_bytes());
            text(&revision.to_le_bytes());
        }
    }
    hasher.finalize().into()
}

pub fn as_of_to_wire(as_of: &AsOf) -> WireAsOf {
    let source = |source: &SourceAsOf| WireSource {
        epoch_id: source.epoch.id.clone(),
        epoch_created_at: source.epoch.created_at,
        revisions: source.revisions.iter().map(|(kind, revision)| (kind.to_string(), *revision)).collect(),
    };
    WireAsOf { sources: as_of.0.iter().map(|(name, value)| (name.clone(), source(value))).collect() }
}

pub fn as_of_from_wire(wire: WireAsOf) -> AsOf {
    let source = |source: WireSource| SourceAsOf {
        epoch: Epoch { id: source.epoch_id, created_at: source.epoch_created_at },
        revisions: source
            .revisions
            .into_iter()
            .filter_map(|(kind, revision)| Some((kind.parse::<Kind>().ok()?, revision)))
            .collect(),
    };
    AsOf(wire.sources.into_iter().map(|(name, value)| (name, source(value))).collect())
}
