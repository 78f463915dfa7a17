use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dataplane_snapshot::Epoch;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use super::text;
use crate::StoreError;

/// How long a write waits while none of those before it ends. PostgreSQL's locks are waited for for 5 s.
const TURN: Duration = Duration::from_secs(6);

/// Which store this is. One in its place is refused, and so is none: neither may be taken for one without objects, which would
/// end the traffic of all that were in it.
pub(crate) struct Life {
    place: String,
    known: RwLock<Reached>,
    /// Why what was last found isn't believed.
    doubt: RwLock<Option<StoreError>>,
    /// How many writes have had their turn.
    turns: AtomicU64,
}

/// An epoch and the highest revision of it that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) epoch: Epoch,
    pub(crate) revision: u64,
}

impl Life {
    pub(crate) fn new(place: &str, epoch: Epoch) -> Self {
        let known = RwLock::new(Reached { epoch, revision: 0 });
        Self { place: place.to_owned(), known, doubt: RwLock::default(), turns: AtomicU64::new(0) }
    }

    /// The store's epoch, if what was found in its head is of the same store. A new epoch of it is its own from then on.
    ///
    /// Within an epoch a revision lower than one before means that acknowledged writes are lost: a replica took over that
    /// hadn't got them, or a backup was restored. Then nothing is read from it, as new writes would have the numbers of the
    /// lost ones. An answer that was under way while a later one arrived is no such case, so `asked` says what was known
    /// when the question was sent.
    pub(crate) fn recognise(
        &self,
        found: Option<&str>,
        revision: u64,
        asked: Reached,
    ) -> Result<Epoch, StoreError> {
        let epoch = asked.epoch.clone();
        let recognised = self.compare(found, revision, asked);
        // An answer from before a new epoch says nothing about what is there now.
        if recognised.is_ok() || self.highest().epoch == epoch {
            let doubt = recognised.as_ref().err().cloned();
            *self.doubt.write().unwrap_or_else(PoisonError::into_inner) = doubt;
        }
        recognised
    }

    /// That what was last found is this store, for what is kept beside the objects and has no head of its own.
    pub(crate) fn believed(&self) -> Result<(), StoreError> {
        self.doubt.read().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }

    fn compare(&self, found: Option<&str>, revision: u64, asked: Reached) -> Result<Epoch, StoreError> {
        let found = found.and_then(text::epoch).ok_or_else(|| self.replaced())?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if found == known.epoch {
            if asked.epoch == found && revision < asked.revision {
                return Err(self.unavailable(format!(
                    "it has lost writes: it is at revision {revision}, and was at {}. Restore it, or take what it has \
                     by `komainu leader new-epoch`",
                    asked.revision
                )));
            }
            known.revision = revision.max(known.revision);
            return Ok(found);
        }
        if found.lineage() != known.epoch.lineage() || found.created_at < known.epoch.created_at {
            return Err(self.replaced());
        }
        tracing::info!(before = known.epoch.id, after = found.id, "the state store has a new epoch");
        *known = Reached { epoch: found.clone(), revision };
        Ok(found)
    }

    /// A write was acknowledged at this revision of this epoch.
    pub(crate) fn wrote(&self, epoch: &Epoch, revision: u64) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.epoch == *epoch {
            known.revision = revision.max(known.revision);
        }
    }

    /// What was seen: what an answer to a question that is sent now can't be below.
    pub(crate) fn highest(&self) -> Reached {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Those who write wait for each other here, and not for ever for one who waits for a server that says nothing.
    pub(crate) async fn turn<'t>(&self, turn: &'t Mutex<()>) -> Result<MutexGuard<'t, ()>, StoreError> {
        let mut lock = pin!(turn.lock());
        loop {
            let before = self.turns.load(Ordering::Relaxed);
            match timeout(TURN, lock.as_mut()).await {
                Ok(taken) => {
                    self.turns.fetch_add(1, Ordering::Relaxed);
                    return Ok(taken);
                }
                // Many write, and are answered.
                Err(_) if self.turns.load(Ordering::Relaxed) != before => {}
                Err(_) => return Err(self.unavailable("the write before this one has no answer yet")),
            }
        }
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
        let text_of = |epoch: &Epoch| Some(text::epoch_text(epoch));
        let recognise = |text: Option<String>| life.recognise(text.as_deref(), 7, life.highest());
        assert_eq!(recognise(text_of(&first)), Ok(first.clone()));
        let second = following(&first, UNIX_EPOCH);
        let asked_before = life.highest();
        assert_eq!(recognise(text_of(&second)), Ok(second.clone()));
        assert!(life.recognise(text_of(&first).as_deref(), 7, asked_before).is_err());
        assert_eq!(life.believed(), Ok(()), "it was overtaken by the new epoch");
        for other in [None, Some("nonsense".to_owned()), text_of(&first_epoch()), text_of(&first)] {
            let error = recognise(other).unwrap_err();
            assert!(error.to_string().contains("another store"), "{error}");
            assert_eq!(life.believed(), Err(error), "counts aren't given to it, either");
        }
        assert_eq!(recognise(text_of(&second)), Ok(second));
        assert_eq!(life.believed(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_waits_while_those_before_it_are_answered() {
        let (life, turn) = (Life::new("redis://a", first_epoch()), Mutex::new(()));
        // The last one waits for 2 TURN.
        let writes = (0..5).map(|_| async {
            let _turn = life.turn(&turn).await.unwrap();
            tokio::time::sleep(TURN / 2).await;
        });
        futures::future::join_all(writes).await;
        let _silent = life.turn(&turn).await.unwrap();
        let error = life.turn(&turn).await.unwrap_err();
        assert!(error.to_string().contains("has no answer yet"), "{error}");
    }

    #[test]
    fn a_store_that_has_lost_writes_is_told_from_an_answer_that_was_overtaken() {
        let first = first_epoch();
        let (life, text) = (Life::new("redis://a", first.clone()), text::epoch_text(&first));
        let at = |revision| Reached { epoch: first.clone(), revision };
        assert!(life.recognise(Some(&text), 9, at(0)).is_ok());
        assert!(life.recognise(Some(&text), 8, at(7)).is_ok(), "asked before the answer with 9 arrived");
        let error = life.recognise(Some(&text), 8, life.highest()).unwrap_err();
        assert!(error.to_string().contains("lost writes: it is at revision 8, and was at 9"), "{error}");
        let second = following(&first, UNIX_EPOCH);
        let text = text::epoch_text(&second);
        assert!(life.recognise(Some(&text), 5, at(9)).is_ok(), "a new epoch is meant");
        assert!(life.recognise(Some(&text), 6, at(9)).is_ok(), "asked in the epoch before");
        life.wrote(&first, 10);
        assert_eq!(life.highest(), Reached { epoch: second.clone(), revision: 6 });
        life.wrote(&second, 7);
        assert!(life.recognise(Some(&text), 6, life.highest()).is_err());
    }
}
