use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use dataplane_snapshot::wire::OTHER_CONSUMERS;

use super::consumer::Consumer;

/// The most consumers that a worker tells apart by one key of a route; who comes then is one of the others.
pub const MAX_CONSUMERS: usize = LARGEST / 2;

/// Of the table, one after the other.
const SIZES: [usize; 4] = [SMALLEST, 1024, 8192, LARGEST];
const SMALLEST: usize = 64;
const LARGEST: usize = 32_768;
/// How far from its place a consumer may be.
const REACH: usize = 16;

/// Those that are told apart by one key. A request finds its own without a lock; it may add it. What makes the table larger, and
/// forgets who is gone, is [`Self::tidy`].
#[derive(Debug)]
pub(super) struct Consumers<S> {
    hasher: S,
    table: ArcSwap<Table>,
    others: Arc<Consumer>,
}

#[derive(Debug)]
struct Table {
    slots: Box<[OnceLock<Entry>]>,
    used: AtomicUsize,
}

#[derive(Clone, Debug)]
struct Entry {
    /// What the key gave.
    value: Box<[u8]>,
    consumer: Arc<Consumer>,
}

impl<S: BuildHasher> Consumers<S> {
    /// The hashes of `hasher` mustn't be guessable, as clients choose the values.
    /// `label`: what the names of its consumers begin with.
    pub(super) fn new(hasher: S, label: &str, share: u32) -> Self {
        let others = Arc::new(Consumer::new(format!("{label}={OTHER_CONSUMERS}").into(), share));
        Self { hasher, table: ArcSwap::from_pointee(Table::of(SMALLEST)), others }
    }

    /// The consumer of this value; a new one is made by `make`.
    pub(super) fn find(&self, value: &[u8], make: impl FnOnce() -> Consumer) -> Arc<Consumer> {
        let table = self.table.load();
        let hash = usize::try_from(self.hasher.hash_one(value) >> 1).unwrap_or_default();
        match table.find(hash, value) {
            Place::Taken(entry) => entry.consumer.clone(),
            Place::Free(_) if table.used.load(Relaxed) >= table.most() => self.others.clone(),
            Place::Free(slot) => {
                let made = Entry { value: value.into(), consumer: Arc::new(make()) };
                let consumer = made.consumer.clone();
                match slot.set(made) {
                    Ok(()) => {
                        table.used.fetch_add(1, Relaxed);
                        consumer
                    }
                    // Another thread was faster; usually with the same one.
                    Err(_) => slot
                        .get()
                        .filter(|entry| *entry.value == *value)
                        .map_or_else(|| self.others.clone(), |entry| entry.consumer.clone()),
                }
            }
            Place::None => self.others.clone(),
        }
    }

    /// It is one of the others, though there could be more room.
    pub(super) fn lack_room_for(&self, consumer: &Arc<Consumer>) -> bool {
        Arc::ptr_eq(consumer, &self.others) && self.table.load().slots.len() < LARGEST
    }

    pub(super) fn all(&self) -> Vec<Arc<Consumer>> {
        let table = self.table.load();
        let entries = table.slots.iter().filter_map(OnceLock::get);
        entries.map(|entry| entry.consumer.clone()).chain([self.others.clone()]).collect()
    }

    /// Where half of the room is taken, a larger table, without those that `is_gone`, which is told whether there is no larger one.
    /// What comes meanwhile may be lost with its first request.
    pub(super) fn tidy(&self, is_gone: impl Fn(&Consumer, bool) -> bool) {
        let table = self.table.load_full();
        if table.used.load(Relaxed) * 4 < table.slots.len() {
            return;
        }
        let is_full = table.slots.len() == LARGEST;
        // A request that isn't over will be counted.
        let is_kept =
            |entry: &&Entry| Arc::strong_count(&entry.consumer) > 1 || !is_gone(&entry.consumer, is_full);
        let kept: Vec<&Entry> = table.slots.iter().filter_map(OnceLock::get).filter(is_kept).collect();
        // With no more room for those that are new, others that are refused could keep it from them.
        let least = if table.used.load(Relaxed) >= table.most() { table.slots.len() + 1 } else { 0 };
        let fits = |size: &&usize| **size >= least.max(kept.len() * 4);
        let size = SIZES.iter().find(fits).unwrap_or(&LARGEST);
        let next = Table::of(*size);
        for entry in kept {
            let hash = usize::try_from(self.hasher.hash_one(&*entry.value) >> 1).unwrap_or_default();
            if let Place::Free(slot) = next.find(hash, &entry.value)
                && slot.set(entry.clone()).is_ok()
            {
                next.used.fetch_add(1, Relaxed);
            }
        }
        self.table.store(Arc::new(next));
    }
}

enum Place<'t> {
    Taken(&'t Entry),
    Free(&'t OnceLock<Entry>),
    None,
}

impl Table {
    fn of(size: usize) -> Self {
        Self { slots: (0..size).map(|_| OnceLock::new()).collect(), used: AtomicUsize::new(0) }
    }

    const fn most(&self) -> usize {
        self.slots.len() / 2
    }

    fn find(&self, hash: usize, value: &[u8]) -> Place<'_> {
        for step in 0..REACH {
            let Some(slot) = self.slots.get((hash + step) % self.slots.len()) else { return Place::None };
            match slot.get() {
                None => return Place::Free(slot),
                Some(entry) if *entry.value == *value => return Place::Taken(entry),
                Some(_) => {}
            }
        }
        Place::None
    }
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use super::super::bucket::WHOLE;
    use super::*;

    fn consumers() -> Consumers<RandomState> {
        Consumers::new(RandomState::new(), "x", WHOLE)
    }

    fn named(number: usize) -> Consumer {
        Consumer::new(number.to_string().into(), WHOLE)
    }

    fn find(consumers: &Consumers<RandomState>, number: usize) -> Arc<Consumer> {
        consumers.find(&number.to_be_bytes(), || named(number))
    }

    #[test]
    fn each_value_has_one_consumer_and_keeps_it() {
        let it = consumers();
        let mut known = Vec::new();
        for number in 0..MAX_CONSUMERS / 2 {
            known.push(find(&it, number));
            it.tidy(|_, _| false);
        }
        for (number, consumer) in known.iter().enumerate() {
            assert_eq!(&*consumer.name, number.to_string());
            assert!(Arc::ptr_eq(consumer, &find(&it, number)), "{number}");
        }
        assert_eq!(it.all().len(), known.len() + 1);
    }

    #[test]
    fn who_finds_no_room_is_one_of_the_others_until_others_are_gone() {
        let it = consumers();
        for number in 0..1000 {
            find(&it, number);
        }
        assert!(it.all().len() <= SMALLEST / 2 + 1, "until it is made larger");
        assert_eq!(&*find(&it, 1000).name, "x=other");
        for number in 0..4 * MAX_CONSUMERS {
            find(&it, number);
            if number % 30 == 0 {
                it.tidy(|_, _| false);
            }
        }
        assert!(it.all().len() <= MAX_CONSUMERS + 1);
        assert_eq!(&*find(&it, usize::MAX).name, "x=other");
        it.tidy(|consumer, is_full| is_full && &*consumer.name != "3");
        assert_eq!(it.all().len(), 2);
        assert_eq!(&*find(&it, usize::MAX).name, usize::MAX.to_string());
    }

    #[test]
    fn threads_that_come_with_the_same_value_share_its_consumer() {
        let it = consumers();
        let found = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..30).map(|number| find(&it, number)).collect::<Vec<_>>()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        for other in &found[1..] {
            for (one, other) in found[0].iter().zip(other) {
                let shared = Arc::ptr_eq(one, other);
                assert!(shared || [one, other].iter().any(|one| &*one.name == "x=other"));
            }
        }
    }
}
