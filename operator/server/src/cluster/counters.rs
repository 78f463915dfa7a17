use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of what the cluster endpoints did since the start.
#[derive(Debug, Default)]
pub struct Counters {
    states: AtomicU64,
    state_bytes: AtomicU64,
    changes: AtomicU64,
    change_bytes: AtomicU64,
    manifests: AtomicU64,
    manifest_bytes: AtomicU64,
    not_modified: AtomicU64,
    not_now: AtomicU64,
    acks: AtomicU64,
    reports: AtomicU64,
    unauthorized: AtomicU64,
    refused: AtomicU64,
}

/// For metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterStats {
    /// Polls answered with a whole state, and the bytes of those.
    pub states: u64,
    pub state_bytes: u64,
    /// Polls answered with what changes a state that was known, and the bytes of those.
    pub changes: u64,
    pub change_bytes: u64,
    /// Manifests answered with what changes a state that wasn't known, and the bytes of those.
    pub manifests: u64,
    pub manifest_bytes: u64,
    /// Polls answered with "not modified".
    pub not_modified: u64,
    /// Polls asked to come back.
    pub not_now: u64,
    pub acks: u64,
    pub reports: u64,
    /// Requests without good credentials.
    pub unauthorized: u64,
    /// Requests that weren't understood.
    pub refused: u64,
    /// Polls held now.
    pub held: usize,
    pub members: usize,
}

impl Counters {
    pub(super) fn state(&self, bytes: usize) {
        self.states.fetch_add(1, Ordering::Relaxed);
        self.state_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn change(&self, bytes: usize) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.change_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn manifest(&self, bytes: usize) {
        self.manifests.fetch_add(1, Ordering::Relaxed);
        self.manifest_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn not_modified(&self) {
        self.not_modified.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn not_now(&self) {
        self.not_now.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ack(&self) {
        self.acks.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn report(&self) {
        self.reports.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unauthorized(&self) {
        self.unauthorized.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self, held: usize, members: usize) -> ClusterStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ClusterStats {
            states: of(&self.states),
            state_bytes: of(&self.state_bytes),
            changes: of(&self.changes),
            change_bytes: of(&self.change_bytes),
            manifests: of(&self.manifests),
            manifest_bytes: of(&self.manifest_bytes),
            not_modified: of(&self.not_modified),
            not_now: of(&self.not_now),
            acks: of(&self.acks),
            reports: of(&self.reports),
            unauthorized: of(&self.unauthorized),
            refused: of(&self.refused),
            held,
            members,
        }
    }
}
