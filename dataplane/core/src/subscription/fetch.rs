//! One poll, which may take several questions to a leader; and what its answer comes to.

use bytes::Bytes;
use dataplane_snapshot::wire::{self, StateError};
use dataplane_snapshot::{Object, Root, Snapshot, diff};

use super::{Answer, Failure};

/// What a leader is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// What changes the base into the current state. The leader may hold it.
    Change,
    /// What differs from the base, which the leader doesn't know: it is told by a manifest what that consists of.
    Difference,
    /// All of the current state. The leader may hold it.
    Whole,
    /// The same, at once, as what changes the base didn't lead where it promised: of the whole there is nothing to
    /// misunderstand.
    WholeAfterAll,
}

/// After so many manifests in a row that didn't get through in time, all of the state is asked for: a line that is slow one way may
/// be fast the other, and the time of what comes is bounded by its pauses.
pub const LATE_MANIFESTS: u32 = 2;

/// What came of it.
#[derive(Clone, Debug)]
pub enum Outcome {
    Answer(Answer),
    /// The leader doesn't know the base.
    UnknownBase,
}

impl Ask {
    /// Of a worker that has `base`, or nothing.
    pub fn first(base: &Snapshot) -> Self {
        if base.is_empty() { Self::Whole } else { Self::Change }
    }

    /// What is asked for in its place after `late` manifests in a row that didn't get through in time.
    pub fn after_late(self, late: u32) -> Self {
        if self == Self::Difference && late >= LATE_MANIFESTS { Self::WholeAfterAll } else { self }
    }

    /// How many manifests in a row didn't get through in time, of which there were `late` before this question.
    pub const fn count_late(self, outcome: &Outcome, late: u32) -> u32 {
        match (self, outcome) {
            (Self::Difference, Outcome::Answer(Answer::Failed(Failure::Late(_)))) => late.saturating_add(1),
            (Self::Difference | Self::WholeAfterAll, Outcome::Answer(Answer::State(_))) => 0,
            _ => late,
        }
    }

    /// How the poll ends, or what else is asked for.
    pub fn then(self, outcome: Outcome) -> Result<Answer, Self> {
        match (self, outcome) {
            (Self::Change, Outcome::UnknownBase) => Err(Self::Difference),
            (_, Outcome::UnknownBase) => {
                let sentence = "it doesn't know a base that it wasn't told of".to_owned();
                Ok(Answer::Failed(Failure::Unreachable(sentence)))
            }
            (Self::Change | Self::Difference, Outcome::Answer(Answer::Failed(Failure::Damaged { .. }))) => {
                Err(Self::WholeAfterAll)
            }
            (_, Outcome::Answer(answer)) => Ok(answer),
        }
    }
}

/// Decodes and checks what a leader sent: a state with the root that was promised, or what changes `base` into it. Takes
/// time by the size of the state.
pub fn decode(bytes: Bytes, root: Root, base: &Snapshot) -> Result<Snapshot, Failure> {
    let snapshot = wire::State::decode_onto(bytes, Some(base)).map_err(|error| match error {
        StateError::Version { .. } | StateError::ObjectSize { .. } => {
            Failure::Incompatible { root: Some(root), reason: error.to_string() }
        }
        error => Failure::Damaged { root: Some(root), reason: error.to_string() },
    })?;
    if snapshot.root() != root {
        let reason = format!("it has root {}, but its head says {root}", snapshot.root());
        return Err(Failure::Damaged { root: Some(root), reason });
    }
    Ok(detach(&snapshot, base))
}

/// The same snapshot, made of the objects of `base` where they are equal and of copies elsewhere. The decoded objects are
/// parts of the received body, and one object that is kept for long would keep all of it in memory.
fn detach(snapshot: &Snapshot, base: &Snapshot) -> Snapshot {
    let changes = diff(base, snapshot);
    let copies = changes
        .upserts
        .iter()
        .map(|object| Object::new(object.key().clone(), Bytes::copy_from_slice(object.bytes())));
    base.edit(copies, &changes.removals, changes.as_of.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(failure: Failure) -> Outcome {
        Outcome::Answer(Answer::Failed(failure))
    }

    #[test]
    fn after_two_late_manifests_in_a_row_the_whole_is_asked_for() {
        let (late, state) = (failed(Failure::Late(String::new())), Answer::State(Snapshot::default()));
        let state = Outcome::Answer(state);
        let other = failed(Failure::Unreachable(String::new()));
        let count = |ask: Ask, outcomes: &[&Outcome]| {
            outcomes.iter().fold(0, |count, outcome| ask.count_late(outcome, count))
        };
        for (outcomes, next) in [
            (&[][..], Ask::Difference),
            (&[&late], Ask::Difference),
            (&[&late, &state, &late], Ask::Difference),
            (&[&late, &late], Ask::WholeAfterAll),
            (&[&late, &other, &late], Ask::WholeAfterAll),
        ] {
            assert_eq!(Ask::Difference.after_late(count(Ask::Difference, outcomes)), next, "{outcomes:?}");
        }
        assert_eq!(count(Ask::Change, &[&late, &late]), 0, "only manifests count");
        assert_eq!(
            Ask::WholeAfterAll.count_late(&state, 2),
            0,
            "once there is a state the next manifest has its try"
        );
        assert_eq!(Ask::Change.after_late(2), Ask::Change);
    }
}
