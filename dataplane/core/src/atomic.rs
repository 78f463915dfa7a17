//! The atomics that threads share. In loom's tests they are such that loom tries each order in which threads can come.

#[cfg(all(test, loom))]
pub(crate) use explored::{AtomicU64, AtomicUsize};
#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize};

pub(crate) use std::sync::atomic::Ordering;

#[cfg(all(test, loom))]
mod explored;
