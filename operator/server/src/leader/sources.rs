use std::sync::Arc;

use futures::future::select_all;
use operator_core::SourceView;

use super::Source;

/// What a leader plans from.
#[derive(Clone, Debug, Default)]
pub struct SourceSet {
    /// Nothing is planned before each of them has given a view.
    pub required: Vec<Source>,
    /// Whoever runs them sees to it that they have given one before the last of the others, if there is one to give.
    pub optional: Vec<Source>,
    /// As [`World::separate_stores`](operator_core::World::separate_stores).
    pub separate_stores: u32,
}

impl From<Vec<Source>> for SourceSet {
    fn from(required: Vec<Source>) -> Self {
        Self { required, ..Self::default() }
    }
}

/// The sources of a leader. What a source gave last stays when it ends.
pub(super) struct Sources {
    /// With whether it is required.
    sources: Vec<(Source, bool)>,
    ended: Vec<(Source, bool)>,
}

impl Sources {
    pub(super) fn new(SourceSet { required, optional, .. }: SourceSet) -> Self {
        let required = required.into_iter().map(|source| (source, true));
        let sources = required.chain(optional.into_iter().map(|source| (source, false))).collect();
        Self { sources, ended: Vec::new() }
    }

    /// The newest views, if every source has one.
    pub(super) fn views(&mut self) -> Option<Vec<Arc<SourceView>>> {
        // All are marked as seen, also if one is missing: the one that comes will tell.
        let views: Vec<_> = self
            .sources
            .iter_mut()
            .chain(&mut self.ended)
            .map(|(source, is_required)| (source.borrow_and_update().clone(), *is_required))
            .collect();
        views
            .into_iter()
            .filter(|(view, is_required)| view.is_some() || *is_required)
            .map(|(view, _)| view)
            .collect()
    }

    /// Returns when a source has changed since [`Self::views`]; never if none can any more.
    pub(super) async fn changed(&mut self) {
        while !self.sources.is_empty() {
            let waiting = self.sources.iter_mut().map(|(source, _)| Box::pin(source.changed()));
            let (result, index, rest) = select_all(waiting).await;
            drop(rest);
            if result.is_ok() {
                return;
            }
            let ended = self.sources.swap_remove(index);
            self.ended.push(ended);
        }
        std::future::pending().await
    }
}
