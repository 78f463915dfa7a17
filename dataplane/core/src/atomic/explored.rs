//! loom's atomics, each with a second one that every access changes.
//!
//! loom remembers the last access to an atomic alone. A thread that loads and then exchanges hides, by its own load, the loads
//! of others before it, and loom (0.7) doesn't try what they would have seen after the exchange. Changes are never hidden.
//! Being relaxed, the second atomic orders nothing else: stale loads are still tried.

use super::Ordering::{self, Relaxed};

macro_rules! explored {
    ($name:ident, $int:ty) => {
        #[derive(Debug, Default)]
        pub(crate) struct $name {
            value: loom::sync::atomic::$name,
            accesses: loom::sync::atomic::AtomicUsize,
        }

        impl $name {
            fn access(&self) -> &loom::sync::atomic::$name {
                self.accesses.fetch_add(1, Relaxed);
                &self.value
            }

            pub(crate) fn fetch_add(&self, value: $int, order: Ordering) -> $int {
                self.access().fetch_add(value, order)
            }
        }
    };
}

explored!(AtomicU64, u64);
explored!(AtomicUsize, usize);

impl AtomicU64 {
    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.access().load(order)
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        self.access().store(value, order);
    }

    pub(crate) fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
        self.access().fetch_sub(value, order)
    }

    pub(crate) fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.access().compare_exchange(current, new, success, failure)
    }

    pub(crate) fn compare_exchange_weak(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.access().compare_exchange_weak(current, new, success, failure)
    }
}
