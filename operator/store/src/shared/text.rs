//! How what is kept is written where a server has no types for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane_snapshot::{Epoch, Key, Kind, SourceAsOf};
use operator_core::Owner;

use crate::StoredObject;

/// Some servers have no unsigned numbers; ours never come near the limit.
pub(crate) fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn number(column: i64) -> u64 {
    u64::try_from(column).unwrap_or_default()
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
pub(crate) fn record_text(object: &StoredObject) -> String {
    let labels = labels_text(&object.labels);
    format!("{} {} {labels}\n{}", object.generation, object.revision, object.spec)
}

pub(crate) fn record(owner: Owner, key: Key, text: &str) -> Option<StoredObject> {
    let (head, spec) = text.split_once('\n')?;
    let mut head = head.splitn(3, ' ');
    Some(StoredObject {
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
    use super::*;

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
}
