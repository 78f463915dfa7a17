use std::sync::Arc;

use futures::future::select_all;
use operator_core::SourceView;

use super::Source;

/// The sources of a leader. What a source gave last stays when it ends.
pub(super) struct Sources {
    sources: Vec<Source>,
    ended: Vec<Source>,
}

impl Sources {
    pub(super) fn new(sources: Vec<Source>) -> Self {
        Self { sources, ended: Vec::new() }
    }

    /// The newest views, if every source has one.
    pub(super) fn views(&mut self) -> Option<Vec<Arc<SourceView>>> {
        // All are marked as seen, also if one is missing: the one that comes will tell.
        let views: Vec<_> = self
            .sources
            .iter_mut()
            .chain(&mut self.ended)
            .map(|source| source.borrow_and_update().clone())
            .collect();
        views.into_iter().collect()
    }

    /// Returns when a source has changed since [`Self::views`]; never if none can any more.
    pub(super) async fn changed(&mut self) {
        while !self.sources.is_empty() {
            let waiting = self.sources.iter_mut().map(|source| Box::pin(source.changed()));
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
