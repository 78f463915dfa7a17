//! What the stores on a server of their own have in common.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dataplane_snapshot::{Epoch, Kind, SourceAsOf};

use crate::StoreError;

/// The version of what the stores on servers keep, and how. A later version that changes it raises the number and migrates.
pub(crate) const SCHEMA_VERSION: u64 = 1;

/// How a store on a server is reached, and what it keeps.
#[derive(Clone, Debug)]
pub struct SharedSettings {
    /// With the scheme that names the kind of store; user and password may be in it.
    pub url: String,
    /// Instead of what the URL says.
    pub username: Option<String>,
    pub password: Option<String>,
    pub tls: StoreTls,
    /// What the names of all that is kept begin with: several clusters may share a server.
    pub prefix: String,
    /// How many deletions per owner are remembered for [`crate::StateStore::changes_since`]; who asks for more reads all.
    pub deletions: u64,
    /// How often a store that gives no hints is asked for its revision.
    pub poll_every: Duration,
}

/// Files in PEM. Whether there is TLS at all, the URL says.
#[derive(Clone, Debug, Default)]
pub struct StoreTls {
    /// Who signed the server's certificate, instead of the authorities of the system.
    pub authorities: Option<PathBuf>,
    /// Shown to the server, with its key.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

impl SharedSettings {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            username: None,
            password: None,
            tls: StoreTls::default(),
            prefix: "komainu".to_owned(),
            deletions: 10_000,
            poll_every: Duration::from_millis(100),
        }
    }
}

impl StoreTls {
    /// The authorities in PEM.
    pub(crate) fn read_authorities(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.authorities.as_ref().map(read).transpose()
    }

    /// Certificate and key in PEM.
    pub(crate) fn read_certificate(&self) -> Result<Option<(Vec<u8>, Vec<u8>)>, StoreError> {
        match (&self.certificate, &self.key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some((read(certificate)?, read(key)?))),
            _ => Err(StoreError::Misconfigured(
                "settings store.tls.certificate and store.tls.key belong together: give both or none"
                    .to_owned(),
            )),
        }
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, StoreError> {
    std::fs::read(path)
        .map_err(|error| StoreError::Misconfigured(format!("setting store.tls: {}: {error}", path.display())))
}

/// A URL without user and password, for people.
pub fn place(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    format!("{scheme}://{rest}")
}

/// Of a store that was there when it was opened.
pub(crate) fn replaced(place: &str) -> StoreError {
    StoreError::Unavailable {
        reason: format!(
            "{place} has another store now, or none: restore it, or restart to go on with what is there"
        ),
    }
}

/// Some servers have no unsigned numbers; ours never come near the limit.
pub(crate) fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn number(column: i64) -> u64 {
    u64::try_from(column).unwrap_or_default()
}

/// The epoch of a store that is made now.
pub(crate) fn first_epoch() -> Epoch {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Epoch {
        id: uuid::Uuid::new_v4().to_string(),
        created_at: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
    }
}

/// An epoch as one word: its creation time and its id.
pub(crate) fn epoch_text(epoch: &Epoch) -> String {
    format!("{} {}", epoch.created_at, epoch.id)
}

pub(crate) fn epoch(text: &str) -> Option<Epoch> {
    let (created_at, id) = text.split_once(' ')?;
    Some(Epoch { id: id.to_owned(), created_at: created_at.parse().ok()? })
}

/// What was seen as one text: the epoch, then a line per kind.
pub(crate) fn as_of_text(as_of: &SourceAsOf) -> String {
    let mut text = epoch_text(&as_of.epoch);
    for (kind, revision) in &as_of.revisions {
        text.push_str(&format!("\n{kind} {revision}"));
    }
    text
}

pub(crate) fn as_of(text: &str) -> Option<SourceAsOf> {
    let mut lines = text.lines();
    let epoch = epoch(lines.next()?)?;
    let mut revisions = BTreeMap::new();
    for line in lines {
        let (kind, revision) = line.split_once(' ')?;
        revisions.insert(kind.parse::<Kind>().ok()?, revision.parse().ok()?);
    }
    Some(SourceAsOf { epoch, revisions })
}

/// Generation, revision and labels in the first line, the spec after it: what a store without columns keeps of an object.
pub(crate) fn record_text(object: &crate::StoredObject) -> String {
    let labels = labels_text(&object.labels);
    format!("{} {} {labels}\n{}", object.generation, object.revision, object.spec)
}

pub(crate) fn record(
    owner: operator_core::Owner,
    key: dataplane_snapshot::Key,
    text: &str,
) -> Option<crate::StoredObject> {
    let (head, spec) = text.split_once('\n')?;
    let mut head = head.splitn(3, ' ');
    Some(crate::StoredObject {
        owner,
        key,
        generation: head.next()?.parse().ok()?,
        revision: head.next()?.parse().ok()?,
        labels: serde_json::from_str(head.next()?).ok()?,
        spec: Arc::from(spec),
    })
}

pub(crate) fn labels_text(labels: &BTreeMap<String, String>) -> String {
    // Texts as keys and values can always be written.
    serde_json::to_string(labels).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use dataplane_snapshot::Key;
    use operator_core::Owner;

    use super::*;
    use crate::StoredObject;

    #[test]
    fn what_is_written_is_read() {
        let key = Key::new(Kind::Route, "default", "a");
        let labels: BTreeMap<_, _> =
            [("a b".to_owned(), "c\nd".to_owned()), (String::new(), String::new())].into();
        for labels in [labels, BTreeMap::new()] {
            let object = StoredObject {
                owner: Owner::Store,
                key: key.clone(),
                generation: -3,
                revision: u64::MAX,
                labels,
                spec: "{\n\"root\": \"/\"}".into(),
            };
            assert_eq!(record(Owner::Store, key.clone(), &record_text(&object)), Some(object));
        }
        let epoch = Epoch { id: "one.two three".to_owned(), created_at: 7 };
        for revisions in [BTreeMap::new(), [(Kind::Backend, 3), (Kind::Route, u64::MAX)].into()] {
            let seen = SourceAsOf { epoch: epoch.clone(), revisions };
            assert_eq!(as_of(&as_of_text(&seen)), Some(seen));
        }
    }

    #[test]
    fn what_is_damaged_is_nothing() {
        for text in ["", "1", "1 2 {}", "x 2 {}\n", "1 2 {\n{}", "1 -2 {}\n{}"] {
            assert_eq!(record(Owner::Store, Key::new(Kind::Route, "a", "b"), text), None, "{text:?}");
        }
        for text in ["", "x", "7 a\nBackend", "7 a\nWheel 3", "x a"] {
            assert_eq!(as_of(text), None, "{text:?}");
        }
    }

    #[test]
    fn people_see_no_password() {
        for (url, shown) in [
            ("redis://me:p@ss@one:6379/2", "redis://one:6379/2"),
            ("postgresql://one,two/komainu?password=hush", "postgresql://one,two/komainu"),
        ] {
            assert_eq!(place(url), shown);
        }
    }
}
