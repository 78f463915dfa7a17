//! All that a store has as lines of text, so that it can be kept, moved into another store, and compared.
//!
//! The first line says what follows, the last one how much it was and its hash: a file that was cut is refused. Between them is
//! one object a line, how much was seen of the mirrored ones, and what workers have counted.

mod counted;

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::time::Duration;

use dataplane_snapshot::{Epoch, Key, SourceAsOf};
use operator_core::Owner;
use operator_core::usage::{UsageKey, UsageRow, kept};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::usage::{counts, counts_text};
use crate::{Batch, Draft, Expected, StateStore, StoreError, StoredObject, Write as ObjectWrite};

pub use counted::Counted;

/// The version of the lines.
const FORMAT: u32 = 1;
/// What stores keep.
const OWNERS: [Owner; 2] = [Owner::Store, Owner::Kubernetes];
/// The most objects of one batch, and bytes of their specs: stores limit what one write may be.
const BATCH: (usize, usize) = (100, 256 << 10);

#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    File(#[from] std::io::Error),
    #[error("line {line}: {reason}")]
    Line { line: usize, reason: String },
    #[error(
        "the store has {key}, which the file has otherwise or not at all: import into an empty one (another store.prefix), \
         or give --replace to make it what the file says"
    )]
    Occupied { key: Key },
    #[error("somebody else writes to the store, so the import ended in the middle: {0}; it may be repeated")]
    Meanwhile(StoreError),
}

/// All that a store has of its owners, without the numbers that a store gives by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    pub objects: BTreeMap<(Owner, Key), Draft>,
    /// Of what is mirrored. What was seen of its own objects, each store counts by itself.
    pub mirrored: Option<SourceAsOf>,
    pub counted: Counted,
}

/// At which revision each object of a store was read.
type Revisions = BTreeMap<(Owner, Key), u64>;

/// How much of how much is done.
pub type Progress<'p> = &'p mut dyn FnMut(usize, usize);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Line {
    KomainuStore {
        format: u32,
    },
    Mirrored {
        epoch: String,
        created_at: u64,
        revisions: BTreeMap<String, u64>,
    },
    Object {
        owner: String,
        key: String,
        generation: Option<i64>,
        labels: BTreeMap<String, String>,
        spec: String,
    },
    /// One worker's, of one consumer of a route in one window.
    Counted {
        window: String,
        route: String,
        consumer: String,
        worker: String,
        counts: String,
    },
    End {
        objects: usize,
        #[serde(default)]
        counted: usize,
        sha256: String,
    },
}

/// What the last line says.
struct End {
    objects: usize,
    counted: usize,
    sha256: String,
}

impl Content {
    /// `since_1970`: of the windows that aren't over then.
    pub async fn read(store: &dyn StateStore, since_1970: Duration) -> Result<Self, StoreError> {
        let (content, _) = Self::read_objects(store).await?;
        Ok(Self { counted: Counted::read(store, &kept(since_1970)).await?, ..content })
    }

    async fn read_objects(store: &dyn StateStore) -> Result<(Self, Revisions), StoreError> {
        let (mut content, mut revisions) = (Self::default(), Revisions::new());
        for owner in OWNERS {
            let listing = store.list(owner).await?;
            if owner == Owner::Kubernetes {
                content.mirrored = listing.as_of;
            }
            for object in listing.objects {
                let key = (owner, object.key.clone());
                revisions.insert(key.clone(), object.revision);
                content.objects.insert(key, draft(object));
            }
        }
        Ok((content, revisions))
    }

    /// Writes the lines.
    pub fn export(&self, file: &mut dyn Write, progress: Progress<'_>) -> Result<(), TransferError> {
        let mut hash = Sha256::new();
        let mut put = |line: &Line| -> Result<(), TransferError> {
            let mut text = serde_json::to_string(line).map_err(std::io::Error::other)?;
            text.push('\n');
            hash.update(&text);
            Ok(file.write_all(text.as_bytes())?)
        };
        put(&Line::KomainuStore { format: FORMAT })?;
        if let Some(SourceAsOf { epoch, revisions }) = &self.mirrored {
            let revisions = revisions.iter().map(|(kind, revision)| (kind.to_string(), *revision)).collect();
            put(&Line::Mirrored { epoch: epoch.id.clone(), created_at: epoch.created_at, revisions })?;
        }
        for (at, ((owner, key), draft)) in self.objects.iter().enumerate() {
            let Draft { generation, labels, spec } = draft.clone();
            let (owner, key, spec) = (owner.to_string(), key.to_string(), spec.to_string());
            put(&Line::Object { owner, key, generation, labels, spec })?;
            progress(at + 1, self.len());
        }
        for (at, UsageRow { of, worker, counts }) in self.counted.rows().enumerate() {
            let (UsageKey { window, route, consumer }, counts) = (of, counts_text(&counts));
            put(&Line::Counted { window, route, consumer, worker, counts })?;
            progress(self.objects.len() + at + 1, self.len());
        }
        let (objects, counted) = (self.objects.len(), self.counted.len());
        let end = Line::End { objects, counted, sha256: hex(hash) };
        let end = serde_json::to_string(&end).map_err(std::io::Error::other)?;
        writeln!(file, "{end}")?;
        Ok(file.flush()?)
    }

    /// Reads what [`Self::export`] wrote.
    pub fn import(file: impl BufRead) -> Result<Self, TransferError> {
        let (mut content, mut hash, mut number) = (Self::default(), Sha256::new(), 0);
        let mut lines = file.lines();
        while let Some(text) = lines.next().transpose()? {
            number += 1;
            let wrong = |reason: String| TransferError::Line { line: number, reason };
            let line: Line = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
            let end = content.take(line, number == 1).map_err(wrong)?;
            let Some(End { objects, counted, sha256 }) = end else {
                hash.update(format!("{text}\n"));
                continue;
            };
            if (objects, counted) != (content.objects.len(), content.counted.len())
                || sha256 != hex(hash)
                || lines.next().is_some()
            {
                return Err(wrong("the lines before it aren't those that were exported".to_owned()));
            }
            return Ok(content);
        }
        let reason = "the file ends in the middle: its last line is missing".to_owned();
        Err(TransferError::Line { line: number, reason })
    }

    /// What the last line says, if it is the last one.
    fn take(&mut self, line: Line, is_first: bool) -> Result<Option<End>, String> {
        match line {
            Line::KomainuStore { format: FORMAT } if is_first => Ok(None),
            Line::KomainuStore { format } if is_first => Err(format!(
                "format {format} isn't known, only {FORMAT}: take the version that wrote it, or a later one"
            )),
            _ if is_first => Err("this is no export of a store".to_owned()),
            Line::KomainuStore { .. } => Err("a second export begins here".to_owned()),
            Line::Mirrored { epoch, created_at, revisions } => {
                let read = |(kind, revision): (String, u64)| Ok((kind.parse()?, revision));
                let revisions =
                    revisions.into_iter().map(read).collect::<Result<_, dataplane_snapshot::KeyError>>();
                let revisions = revisions.map_err(|error| error.to_string())?;
                self.mirrored = Some(SourceAsOf { epoch: Epoch { id: epoch, created_at }, revisions });
                Ok(None)
            }
            Line::Object { owner, key, generation, labels, spec } => {
                let owner = OWNERS.into_iter().find(|known| known.as_str() == owner);
                let owner = owner.ok_or("the owner is store or kubernetes")?;
                let key = key.parse().map_err(|error: dataplane_snapshot::KeyError| error.to_string())?;
                self.objects.insert((owner, key), Draft { generation, labels, spec: spec.into() });
                Ok(None)
            }
            Line::Counted { window, route, consumer, worker, counts: text } => {
                let counts = counts(&text).ok_or("counts are eleven numbers")?;
                self.counted.extend([UsageRow { of: UsageKey { window, route, consumer }, worker, counts }]);
                Ok(None)
            }
            Line::End { objects, counted, sha256 } => Ok(Some(End { objects, counted, sha256 })),
        }
    }

    /// Makes the store have this. Without `replace` it may have no other objects before; what it has of this already stays, so
    /// an import that was interrupted can be done again. What was counted further there stays in any case, and so does what
    /// somebody else writes meanwhile.
    pub async fn write(
        &self,
        store: &dyn StateStore,
        replace: bool,
        progress: Progress<'_>,
    ) -> Result<(), TransferError> {
        let (there, revisions) = Self::read_objects(store).await?;
        // A mirror that is there is kept by leaders, who know better: it is only brought where there is none.
        let brings_mirror = self.mirrored.is_some() && there.mirrored.is_none();
        let differences = there.unlike(self, |owner| owner == Owner::Store || brings_mirror);
        let writes = self.writes(differences, &revisions, replace)?;
        let objects: usize = writes.values().map(Vec::len).sum();
        let (total, mut done) = (objects + self.counted.len(), 0);
        // What the admin API wrote first: the mirror may be a leader's by now.
        for (owner, writes) in writes.into_iter().rev() {
            for batch in batches(writes) {
                let count = batch.len();
                let batch = Batch { owner, writes: batch, as_of: None, fence: fence(owner) };
                store.commit(batch).await.map_err(|error| refused(error, replace))?;
                done += count;
                progress(done, total);
            }
        }
        // Last, so that what isn't whole yet isn't taken for the cluster.
        if brings_mirror {
            let (owner, as_of) = (Owner::Kubernetes, self.mirrored.clone());
            let batch = Batch { owner, writes: Vec::new(), as_of, fence: fence(owner) };
            store.commit(batch).await.map_err(|error| refused(error, replace))?;
        }
        Ok(self.counted.write(store, &mut |counted, _| progress(objects + counted, total)).await?)
    }

    /// Makes the objects that differ those of this, each under the condition that it still is as it was read.
    fn writes(
        &self,
        differences: Vec<(Owner, Key)>,
        revisions: &Revisions,
        replace: bool,
    ) -> Result<BTreeMap<Owner, Vec<ObjectWrite>>, TransferError> {
        let mut writes: BTreeMap<Owner, Vec<ObjectWrite>> = BTreeMap::new();
        for difference in differences {
            let draft = self.objects.get(&difference).cloned();
            let revision = revisions.get(&difference).copied();
            let (owner, key) = difference;
            let expected = match revision {
                Some(_) if !replace => return Err(TransferError::Occupied { key }),
                Some(revision) => Expected::Revision(revision),
                None => Expected::Absent,
            };
            writes.entry(owner).or_default().push(ObjectWrite { key, expected, draft });
        }
        Ok(writes)
    }

    /// Leaves out what was counted in windows that are over by now: nobody would drop it any more.
    pub fn leave_out_over(&mut self, since_1970: Duration) {
        self.counted.retain(&kept(since_1970));
    }

    /// How many lines of objects and counts.
    fn len(&self) -> usize {
        self.objects.len() + self.counted.len()
    }

    /// The objects that one of the two has and the other hasn't, or has otherwise.
    ///
    /// A mirror only counts if both have one: the leaders of the cluster write it again in any case.
    pub fn differences(&self, other: &Self) -> Vec<(Owner, Key)> {
        let has_mirrors = self.mirrored.is_some() && other.mirrored.is_some();
        self.unlike(other, |owner| owner == Owner::Store || has_mirrors)
    }

    /// Of the owners that count.
    fn unlike(&self, other: &Self, counts: impl Fn(Owner) -> bool) -> Vec<(Owner, Key)> {
        let missing = other.objects.iter().filter(|(key, draft)| self.objects.get(key) != Some(draft));
        let surplus = self.objects.keys().filter(|key| !other.objects.contains_key(key));
        missing.map(|(key, _)| key).chain(surplus).filter(|(owner, _)| counts(*owner)).cloned().collect()
    }
}

fn draft(object: StoredObject) -> Draft {
    // Of its own objects the store numbers the generations.
    let generation = (object.owner == Owner::Kubernetes).then_some(object.generation);
    Draft { generation, labels: object.labels, spec: object.spec }
}

/// A mirror is brought with the lowest number, which the store refuses once a leader with a Lease has begun one. A leader reads
/// what is there only once, so it wouldn't remove what is brought afterwards.
fn fence(owner: Owner) -> Option<u64> {
    (owner == Owner::Kubernetes).then_some(0)
}

/// Why a store that fitted when it was read doesn't take a write.
fn refused(error: StoreError, replace: bool) -> TransferError {
    match error {
        StoreError::Exists { key } if !replace => TransferError::Occupied { key },
        StoreError::Exists { .. }
        | StoreError::Conflict { .. }
        | StoreError::NotFound { .. }
        | StoreError::Fenced { .. } => TransferError::Meanwhile(error),
        _ => TransferError::Store(error),
    }
}

/// The writes in parts that every store takes at once.
pub fn batches(writes: Vec<ObjectWrite>) -> Vec<Vec<ObjectWrite>> {
    let (mut batches, mut bytes) = (Vec::<Vec<_>>::new(), 0);
    for write in writes {
        bytes += write.draft.as_ref().map_or(0, |draft| draft.spec.len());
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH.0 && bytes <= BATCH.1 => batch.push(write),
            _ => {
                bytes = write.draft.as_ref().map_or(0, |draft| draft.spec.len());
                batches.push(vec![write]);
            }
        }
    }
    batches
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "transfer_tests.rs"]
mod tests;
