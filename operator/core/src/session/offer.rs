//! What a leader gives to workers: the current state, for each what it may have, and what changes an older one into it.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use dataplane_snapshot::{Diff, Key, Kind, Root, Snapshot, diff, manifest, wire};

use super::History;

/// What may be sent to whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everything: nobody else can read it, as it is inside TLS or doesn't leave the machine.
    Machine,
    /// Everything but secrets: it is in clear text, at least on a part of its way.
    Network,
}

/// The current state, once as it is and once for those who may not have secrets. The second is made by the first of them, and
/// from then on of the one before by what changed.
#[derive(Debug)]
pub struct Offer {
    whole: Arc<Snapshot>,
    without_secrets: OnceLock<Option<Arc<Snapshot>>>,
    history: History,
}

impl Offer {
    /// The state that follows `previous`.
    pub fn new(snapshot: Arc<Snapshot>, previous: Option<&Self>) -> Self {
        let mut history = previous.map(|previous| previous.history.clone()).unwrap_or_default();
        let mut without_secrets = OnceLock::new();
        match previous {
            Some(previous) if previous.whole.root() == snapshot.root() => {
                // Whoever has it is known by it after the next change, too.
                if let Some(made) = previous.without_secrets.get() {
                    let of_now = |made: &Arc<Snapshot>| Arc::new(made.with_as_of(snapshot.as_of().clone()));
                    without_secrets = OnceLock::from(made.as_ref().map(of_now));
                }
            }
            Some(previous) => {
                let changes = diff(&previous.whole, &snapshot);
                if let Some(Some(made)) = previous.without_secrets.get() {
                    without_secrets = OnceLock::from(follow(made, &changes, &snapshot));
                }
                let upserted = changes.upserts.iter().map(|object| object.key().clone());
                history.push(previous.roots(), upserted.chain(changes.removals).collect());
            }
            None => {}
        }
        Self { whole: snapshot, without_secrets, history }
    }

    /// By what workers may know this state. Nobody has a form of it that wasn't made.
    fn roots(&self) -> Vec<Root> {
        let without_secrets = self.without_secrets.get().and_then(Option::as_ref);
        [Some(&self.whole), without_secrets].into_iter().flatten().map(|state| state.root()).collect()
    }

    pub fn snapshot(&self, reach: Reach) -> &Arc<Snapshot> {
        let without = || has_secrets(&self.whole).then(|| Arc::new(self.whole.without_secrets()));
        match reach {
            Reach::Machine => &self.whole,
            Reach::Network => self.without_secrets.get_or_init(without).as_ref().unwrap_or(&self.whole),
        }
    }

    /// What the session knows `root` as, if it is that of the current state for whoever has it. Who may not have secrets has
    /// another root, and is told and judged by the whole one as all others. Who may have them isn't up to date without.
    pub fn whole_root(&self, root: Root, reach: Reach) -> Root {
        if root == self.snapshot(reach).root() { self.whole.root() } else { root }
    }

    /// How many objects [`Self::change`] has to look at. `None`: that state isn't remembered.
    pub fn objects_since(&self, reach: Reach, base: Root) -> Option<usize> {
        if base == self.snapshot(reach).root() { Some(0) } else { self.history.count_since(base) }
    }

    /// What turns the state with root `base` into this one. `None`: that one isn't remembered.
    pub fn change(&self, reach: Reach, base: Root) -> Option<wire::State> {
        let state = self.snapshot(reach);
        let keys = if base == state.root() { BTreeSet::new() } else { self.history.since(base)? };
        let (mut upserts, mut removals) = (Vec::new(), Vec::new());
        for key in keys {
            match state.get(key) {
                Some(object) => upserts.push(object),
                // One that was never there does no harm, but nobody needs to know its name.
                None if reach == Reach::Network && key.kind() == Kind::Secret => {}
                None => removals.push(key.clone()),
            }
        }
        Some(wire::State::from_base(base, state, upserts, removals))
    }

    /// The same for a state of which only a manifest is known.
    pub fn difference(&self, reach: Reach, base: Root, manifest: &[u8]) -> wire::State {
        let state = self.snapshot(reach);
        let (upserts, removed_ids) = manifest::difference(manifest, state);
        wire::State { removed_ids, ..wire::State::from_base(base, state, upserts, []) }
    }
}

/// What `next` is without secrets, by what changed since `made`.
fn follow(made: &Snapshot, changes: &Diff, next: &Snapshot) -> Option<Arc<Snapshot>> {
    let is_shown = |key: &&Key| key.kind() != Kind::Secret;
    let upserts = changes.upserts.iter().filter(|object| is_shown(&object.key())).cloned();
    let removals: Vec<_> = changes.removals.iter().filter(is_shown).cloned().collect();
    has_secrets(next).then(|| Arc::new(made.edit(upserts, &removals, next.as_of().clone())))
}

fn has_secrets(snapshot: &Snapshot) -> bool {
    snapshot.count_of(Kind::Secret) > 0
}

#[cfg(test)]
mod tests {
    use dataplane_snapshot::{AsOf, Key, Object};

    use super::*;

    fn offer(secret: &str, previous: Option<&Offer>) -> Offer {
        let listener = wire::Payload::Listener(wire::Listener::default());
        let kind = Some(wire::SecretKind::Password(secret.to_owned()));
        let secret = wire::Payload::Secret(wire::Secret { kind });
        let objects = [
            Object::encode(Key::new(Kind::Listener, "settings", "http"), &listener.into()),
            Object::encode(Key::new(Kind::Secret, "default", "b~proxy"), &secret.into()),
        ];
        Offer::new(Arc::new(Snapshot::new(objects, AsOf::default())), previous)
    }

    #[test]
    fn who_may_not_have_secrets_is_known_by_the_whole_root() {
        let offer = offer("one", None);
        let (whole, without) = (offer.snapshot(Reach::Machine).root(), offer.snapshot(Reach::Network).root());
        assert_ne!(whole, without);
        assert_eq!(offer.whole_root(without, Reach::Network), whole);
        assert_eq!(offer.whole_root(whole, Reach::Machine), whole);
    }

    /// As after it followed a leader over the network and moves to one on its own machine.
    #[test]
    fn who_may_have_secrets_is_not_up_to_date_without() {
        let offer = offer("one", None);
        let without = offer.snapshot(Reach::Network).root();
        assert_eq!(offer.whole_root(without, Reach::Machine), without);
    }

    #[test]
    fn a_form_that_was_given_is_remembered() {
        let first = offer("one", None);
        let (whole, without) = (first.snapshot(Reach::Machine).root(), first.snapshot(Reach::Network).root());
        let second = offer("two", Some(&first));
        assert_eq!(second.change(Reach::Machine, whole).map(|change| change.objects.len()), Some(1));
        assert_eq!(second.change(Reach::Network, without).map(|change| change.objects.len()), Some(0));
        assert_eq!(second.change(Reach::Machine, Root([7; 32])), None);
    }

    #[test]
    fn a_form_that_was_given_is_remembered_though_nothing_changed_meanwhile() {
        let first = offer("one", None);
        let without = first.snapshot(Reach::Network).root();
        let same = offer("one", Some(&first));
        let second = offer("two", Some(&same));
        assert_eq!(second.change(Reach::Network, without).map(|change| change.objects.len()), Some(0));
    }
    #[test]
    fn what_is_without_secrets_is_made_of_the_one_before_by_what_changed() {
        let listener = |name: &str, address: &str| {
            let listener = wire::Listener { address: address.to_owned(), ..Default::default() };
            Object::encode(
                Key::new(Kind::Listener, "settings", name),
                &wire::Payload::Listener(listener).into(),
            )
        };
        let secret = |text: &str| {
            let secret = wire::Secret { kind: Some(wire::SecretKind::Password(text.to_owned())) };
            Object::encode(
                Key::new(Kind::Secret, "default", "b~proxy"),
                &wire::Payload::Secret(secret).into(),
            )
        };
        let states = [
            vec![listener("http", "a"), listener("other", "a"), secret("one")],
            vec![listener("http", "b"), listener("new", "a"), secret("two")],
            vec![listener("new", "a"), secret("two")],
            vec![secret("two")],
            vec![listener("http", "b")],
            vec![listener("http", "b"), secret("two")],
        ];
        let mut offer: Option<Offer> = None;
        for state in states {
            let state = Arc::new(Snapshot::new(state, AsOf::default()));
            let next = Offer::new(state.clone(), offer.as_ref());
            let is_made = next.without_secrets.get().is_some();
            let had = offer.as_ref().is_some_and(|offer| has_secrets(&offer.whole));
            assert_eq!(is_made, had, "it follows the one before, if there was one");
            let (shown, expected) = (next.snapshot(Reach::Network), state.without_secrets());
            assert_eq!((shown.root(), shown.as_of()), (expected.root(), expected.as_of()));
            offer = Some(next);
        }
    }
}
