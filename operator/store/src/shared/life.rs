use std::sync::{PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use dataplane_snapshot::Epoch;

use super::text;
use crate::StoreError;

/// Which store this is. One in its place is refused, and so is none: neither may be taken for one without objects, which would
/// end the traffic of all that were in it.
pub(crate) struct Life {
    place: String,
    epoch: RwLock<Epoch>,
}

impl Life {
    pub(crate) fn new(place: &str, epoch: Epoch) -> Self {
        Self { place: place.to_owned(), epoch: RwLock::new(epoch) }
    }

    /// The store's epoch, if `found` is of the same store. A new epoch of it is its own from then on.
    pub(crate) fn recognise(&self, found: Option<&str>) -> Result<Epoch, StoreError> {
        let found = found.and_then(text::epoch).ok_or_else(|| self.replaced())?;
        let known = self.epoch.read().unwrap_or_else(PoisonError::into_inner).clone();
        if found == known {
            return Ok(found);
        }
        if found.lineage() != known.lineage() {
            return Err(self.replaced());
        }
        tracing::info!(before = known.id, after = found.id, "the state store has a new epoch");
        *self.epoch.write().unwrap_or_else(PoisonError::into_inner) = found.clone();
        Ok(found)
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn replaced(&self) -> StoreError {
        let place = &self.place;
        StoreError::Unavailable {
            reason: format!(
                "{place} has another store now, or none: restore it, or restart to go on with what is there"
            ),
        }
    }

    pub(crate) fn corrupt(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Corrupt { place: self.place.clone(), reason: reason.into() }
    }

    pub(crate) fn unavailable(&self, error: impl std::fmt::Display) -> StoreError {
        StoreError::Unavailable { reason: format!("{}: {error}", self.place) }
    }
}

/// The epoch of a store that is made now.
pub(crate) fn first_epoch() -> Epoch {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Epoch {
        id: uuid::Uuid::new_v4().to_string(),
        created_at: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
    }
}

/// A later one, also if the clock is behind that of the machine on which the one before began.
pub(crate) fn following(before: &Epoch, now: SystemTime) -> Epoch {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let unique = uuid::Uuid::new_v4().simple().to_string();
    before.successor(&unique, now.max(before.created_at.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_later_lives_of_the_same_store_are_recognised() {
        let first = first_epoch();
        let life = Life::new("redis://a", first.clone());
        assert_eq!(life.recognise(Some(&text::epoch_text(&first))), Ok(first.clone()));
        let second = following(&first, UNIX_EPOCH);
        assert_eq!(life.recognise(Some(&text::epoch_text(&second))), Ok(second.clone()));
        for other in [None, Some("nonsense".to_owned()), Some(text::epoch_text(&first_epoch()))] {
            let error = life.recognise(other.as_deref()).unwrap_err();
            assert!(error.to_string().contains("another store"), "{error}");
        }
        assert_eq!(life.recognise(Some(&text::epoch_text(&second))), Ok(second));
    }
}
