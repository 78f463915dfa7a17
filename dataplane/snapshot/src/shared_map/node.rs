use std::sync::Arc;

/// The most entries of a leaf, and children of an inner node. An edit copies one node of each level.
const WIDTH: usize = 32;

/// A node with fewer is joined with a neighbour if both together are at most [`JOINED`], so that what many removals leave
/// takes no more room than it must.
const SPARSE: usize = WIDTH / 4;
const JOINED: usize = WIDTH / 2;

/// A node of a B+ tree: all leaves have the same depth. No node but that of a map's only leaf is ever empty.
#[derive(Clone)]
pub(super) enum Node<K, V> {
    /// In the order of keys.
    Leaf(Vec<(K, V)>),
    /// Each child with a key that none of its own is below, and all of the child before are. That of the first child isn't
    /// looked at and may be any.
    Inner(Vec<(K, Child<K, V>)>),
}

pub(super) type Child<K, V> = Arc<Node<K, V>>;

/// What was there under a key, and the right half of the node with its first key if it had to be split.
type Inserted<K, V> = (Option<V>, Option<(K, Child<K, V>)>);

impl<K, V> Node<K, V> {
    fn len(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Inner(children) => children.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Levels below this one.
    pub(super) fn height(&self) -> usize {
        match self {
            Self::Leaf(_) => 0,
            Self::Inner(children) => children.first().map_or(0, |(_, child)| child.height() + 1),
        }
    }
}

impl<K: Ord, V> Node<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        let mut node = self;
        loop {
            match node {
                Self::Leaf(entries) => {
                    let index = entries.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
                    return entries.get(index).map(|(_, value)| value);
                }
                Self::Inner(children) => node = &children.get(place_of(children, key))?.1,
            }
        }
    }
}

/// The index of the child that `key` belongs to.
pub(super) fn place_of<K: Ord, V>(children: &[(K, Child<K, V>)], key: &K) -> usize {
    children.partition_point(|(first, _)| first <= key).saturating_sub(1)
}

impl<K: Ord + Clone, V: Clone> Node<K, V> {
    pub(super) fn insert(&mut self, key: K, value: V) -> Inserted<K, V> {
        match self {
            Self::Leaf(entries) => match entries.binary_search_by(|(other, _)| other.cmp(&key)) {
                Ok(index) => {
                    let old = entries.get_mut(index).map(|(_, old)| std::mem::replace(old, value));
                    (old, None)
                }
                Err(index) => {
                    // Not twice the room: most nodes are copied more often than they grow.
                    entries.reserve_exact(1);
                    entries.insert(index, (key, value));
                    let right = split(entries, index);
                    (None, right.and_then(|right| first_of(right, Self::Leaf)))
                }
            },
            Self::Inner(children) => {
                let index = place_of(children, &key);
                let Some((_, child)) = children.get_mut(index) else { return (None, None) };
                let (old, split_child) = Arc::make_mut(child).insert(key, value);
                let Some(right) = split_child else { return (old, None) };
                children.reserve_exact(1);
                children.insert(index + 1, right);
                let right = split(children, index + 1);
                (old, right.and_then(|right| first_of(right, Self::Inner)))
            }
        }
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        match self {
            Self::Leaf(entries) => {
                let index = entries.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
                Some(entries.remove(index).1)
            }
            Self::Inner(children) => {
                let index = place_of(children, key);
                let (_, child) = children.get_mut(index)?;
                let old = Arc::make_mut(child).remove(key);
                if child.is_empty() {
                    children.remove(index);
                } else if child.len() < SPARSE {
                    join(children, index);
                }
                old
            }
        }
    }

    /// Takes what is in the next node of the same level, whose keys begin at `first`.
    fn append(&mut self, first: K, next: &Self) {
        match (self, next) {
            (Self::Leaf(entries), Self::Leaf(others)) => {
                entries.reserve_exact(others.len());
                entries.extend(others.iter().cloned());
            }
            (Self::Inner(children), Self::Inner(others)) => {
                let from = children.len();
                children.reserve_exact(others.len());
                children.extend(others.iter().cloned());
                // It isn't a first child any more.
                if let Some((key, _)) = children.get_mut(from) {
                    *key = first;
                }
            }
            // All leaves have the same depth.
            (Self::Leaf(_), Self::Inner(_)) | (Self::Inner(_), Self::Leaf(_)) => {}
        }
    }
}

/// Joins the child at `index` with one beside it, if they fit into one.
fn join<K: Ord + Clone, V: Clone>(children: &mut Vec<(K, Child<K, V>)>, index: usize) {
    let len = |index: usize| children.get(index).map_or(WIDTH, |(_, child)| child.len());
    let left = [index.checked_sub(1), Some(index)]
        .into_iter()
        .flatten()
        .find(|left| len(*left) + len(*left + 1) <= JOINED);
    let Some(left) = left else { return };
    let (first, right) = children.remove(left + 1);
    if let Some((_, child)) = children.get_mut(left) {
        Arc::make_mut(child).append(first, &right);
    }
}

/// The right part of an overfull list, of which the entry at `new` has just come. Lists that grow at their end stay full.
fn split<T>(list: &mut Vec<T>, new: usize) -> Option<Vec<T>> {
    if list.len() <= WIDTH {
        return None;
    }
    let at = if new == WIDTH { WIDTH } else { WIDTH / 2 };
    let right = list.split_off(at);
    list.shrink_to_fit();
    Some(right)
}

fn first_of<K: Clone, T, N>(list: Vec<(K, T)>, node: fn(Vec<(K, T)>) -> N) -> Option<(K, Arc<N>)> {
    let (first, _) = list.first()?;
    Some((first.clone(), Arc::new(node(list))))
}

/// A tree of full nodes. The keys of `entries` rise.
pub(super) fn build<K: Clone, V>(entries: Vec<(K, V)>) -> Option<Child<K, V>> {
    let mut level = level(entries, Node::Leaf);
    while level.len() > 1 {
        level = self::level(level, Node::Inner);
    }
    level.pop().map(|(_, root)| root)
}

fn level<K: Clone, T, N>(list: Vec<(K, T)>, node: fn(Vec<(K, T)>) -> N) -> Vec<(K, Arc<N>)> {
    let mut nodes = Vec::with_capacity(list.len().div_ceil(WIDTH));
    let mut rest = list.into_iter();
    loop {
        let mut one = Vec::with_capacity(WIDTH.min(rest.len()));
        one.extend(rest.by_ref().take(WIDTH));
        match first_of(one, node) {
            Some(node) => nodes.push(node),
            None => return nodes,
        }
    }
}
