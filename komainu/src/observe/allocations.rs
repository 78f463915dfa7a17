//! Counts allocations, in the builds that the benchmark makes with the feature `count-allocations`.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;

static COUNT: AtomicU64 = AtomicU64::new(0);

/// The program's allocator, which counts what it is asked for if the feature is on.
pub(crate) struct Allocator(pub(crate) mimalloc::MiMalloc);

#[expect(
    unsafe_code,
    reason = "a global allocator can't be written without it; every call is passed on unchanged"
)]
// SAFETY: each method forwards its arguments to mimalloc, which upholds the contract.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise, passed on.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.0.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise, passed on.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise, passed on.
        unsafe { self.0.realloc(pointer, layout, size) }
    }
}

#[expect(unsafe_code, reason = "the crate of the allocator doesn't offer it")]
// SAFETY: mimalloc.h says so.
unsafe extern "C" {
    /// Gives free memory back: what the calling thread keeps for itself, and what threads left that have ended.
    safe fn mi_collect(force: bool);
}

/// Gives memory that isn't used back to the system, which mimalloc does by itself only while it is busy. Takes milliseconds.
pub(crate) fn give_back() {
    mi_collect(true);
}

#[inline]
fn count() {
    if cfg!(feature = "count-allocations") {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

/// `komainu_allocations_total`, in builds that count.
#[derive(Debug)]
pub(crate) struct Allocations;

impl Collector for Allocations {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        if !cfg!(feature = "count-allocations") {
            return Ok(());
        }
        let counter = ConstCounter::new(COUNT.load(Ordering::Relaxed));
        let name = "allocations";
        let metric =
            encoder.encode_descriptor(name, "Allocations of the process", None, counter.metric_type())?;
        counter.encode(metric)
    }
}
