//! The part of a snapshot that a scope is about: all listeners, the Routes that it selects, and what these reference.
//!
//! It is a function of the snapshot, but for what a held object referenced before: workers go on with its last good version,
//! which needs that. What else is kept between two snapshots only makes it cheap: an edit costs each live scope the objects
//! that changed, however many there are; the first part costs as much as reading every Route.

mod references;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use dataplane_snapshot::{AsOf, Key, Kind, Object, Scope, SharedMap, Snapshot, wire};
use prost::Message as _;

use references::{is_held, references};

/// The most scopes that a leader has parts for. Each costs memory for the keys of its part, and some time with each edit.
pub const MAX_SCOPES: usize = 64;

/// A scope with its part of one snapshot.
#[derive(Clone, Debug)]
pub struct Scoped {
    scope: Scope,
    included: HashMap<Key, Included>,
    part: Part,
}

/// What those with a scope should have.
#[derive(Clone, Debug)]
pub struct Part {
    state: Arc<Snapshot>,
    /// As of what each object came in: maybe long after it was written, as with a Route that references it.
    entered: SharedMap<Key, Arc<AsOf>>,
}

impl Part {
    /// Of which all objects came in at once.
    pub fn new(state: Arc<Snapshot>) -> Self {
        let now = Arc::new(state.as_of().clone());
        let entered = state.objects().map(|object| (object.key().clone(), now.clone())).collect();
        Self { state, entered }
    }

    pub const fn state(&self) -> &Arc<Snapshot> {
        &self.state
    }

    /// Whoever hasn't seen as much may not have the object, though it has seen when it was written.
    pub fn entered(&self, key: &Key) -> Option<&AsOf> {
        self.entered.get(key).map(|as_of| &**as_of)
    }

    fn edit(&self, upserts: Vec<Object>, removals: &[Key], as_of: &AsOf) -> Self {
        let now = Arc::new(as_of.clone());
        let mut entered = self.entered.clone();
        let new = upserts.iter().map(Object::key).filter(|key| self.state.get(key).is_none());
        let new = new.map(|key| (key.clone(), Some(now.clone())));
        entered.apply(new.chain(removals.iter().map(|key| (key.clone(), None))));
        Self { state: Arc::new(self.state.edit(upserts, removals, as_of.clone())), entered }
    }
}

/// A key that belongs to the part, whether or not there is an object.
#[derive(Clone, Debug, Default)]
struct Included {
    /// By itself: a listener, or a Route that is selected.
    is_selected: bool,
    /// How often the included reference it.
    uses: usize,
    references: Vec<Key>,
}

impl Scoped {
    pub fn new(scope: Scope, whole: &Snapshot) -> Self {
        let empty = Part::new(Arc::new(Snapshot::new([], AsOf::default())));
        let nothing = Self { scope, included: HashMap::new(), part: empty };
        let first = whole.objects_of(Kind::Listener).chain(whole.objects_of(Kind::Route));
        nothing.advance(whole, first.map(Object::key))
    }

    /// The part of `whole`, which differs from the snapshot before at most in `changed`.
    #[must_use]
    pub fn advance<'k>(mut self, whole: &Snapshot, changed: impl IntoIterator<Item = &'k Key>) -> Self {
        let mut touched = BTreeSet::new();
        for key in changed {
            self.update(key, whole, &mut touched);
        }
        let (mut upserts, mut removals) = (Vec::new(), Vec::new());
        for key in touched {
            match whole.get(&key).filter(|_| self.included.contains_key(&key)) {
                Some(object) if self.part.state.get(&key) == Some(object) => {}
                Some(object) => upserts.push(object.clone()),
                None => removals.push(key),
            }
        }
        self.part = self.part.edit(upserts, &removals, whole.as_of());
        self
    }

    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    pub const fn part(&self) -> &Part {
        &self.part
    }

    /// Takes note of one object as it is in `whole`. `touched` are the keys whose place in the part may be another one.
    fn update(&mut self, key: &Key, whole: &Snapshot, touched: &mut BTreeSet<Key>) {
        touched.insert(key.clone());
        let object = whole.get(key);
        let is_selected = object.is_some_and(|object| self.selects(object));
        if !is_selected && !self.included.contains_key(key) {
            return;
        }
        let entry = self.included.entry(key.clone()).or_default();
        entry.is_selected = is_selected;
        let mut now = object.map(references).unwrap_or_default();
        if object.is_some_and(is_held) {
            now.extend(entry.references.iter().cloned());
            now.sort();
            now.dedup();
        }
        // The new ones first: what stays isn't let go of in between.
        let before = std::mem::replace(&mut entry.references, now.clone());
        self.take(now, whole, touched);
        self.let_go(before, touched);
        let unused = self.drop_unused(key, touched);
        self.let_go(unused, touched);
    }

    fn selects(&self, object: &Object) -> bool {
        match object.key().kind() {
            Kind::Listener => true,
            Kind::Route => self.scope.selects(object.key().namespace(), &labels(object)),
            _ => false,
        }
    }

    /// One use more of each of `keys`, and of what those reference if they are new here.
    fn take(&mut self, mut keys: Vec<Key>, whole: &Snapshot, touched: &mut BTreeSet<Key>) {
        while let Some(key) = keys.pop() {
            let entry = self.included.entry(key.clone()).or_insert_with(|| {
                let references = whole.get(&key).map(references).unwrap_or_default();
                keys.extend(references.iter().cloned());
                Included { references, ..Included::default() }
            });
            entry.uses += 1;
            touched.insert(key);
        }
    }

    fn let_go(&mut self, mut keys: Vec<Key>, touched: &mut BTreeSet<Key>) {
        while let Some(key) = keys.pop() {
            let Some(entry) = self.included.get_mut(&key) else { continue };
            entry.uses = entry.uses.saturating_sub(1);
            keys.extend(self.drop_unused(&key, touched));
        }
    }

    /// Gives what an object referenced that doesn't belong to the part any more.
    fn drop_unused(&mut self, key: &Key, touched: &mut BTreeSet<Key>) -> Vec<Key> {
        touched.insert(key.clone());
        let is_used = self.included.get(key).is_some_and(|entry| entry.is_selected || entry.uses > 0);
        let dropped = if is_used { None } else { self.included.remove(key) };
        dropped.map(|entry| entry.references).unwrap_or_default()
    }
}

/// Of an object that can't be read: none.
fn labels(object: &Object) -> BTreeMap<String, String> {
    wire::Content::decode(object.bytes().clone()).map(|content| content.labels).unwrap_or_default()
}

#[cfg(test)]
mod tests;
