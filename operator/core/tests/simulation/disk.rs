//! A worker's disk: rows that change in one transaction, or are found damaged after a crash in the middle of one.

use dataplane_core::served::Served;
use dataplane_core::stored::{Changes, Content, Stored};
use dataplane_snapshot::AsOf;

#[derive(Default)]
pub(crate) struct Disk {
    content: Option<Content>,
    /// What the process knows that it holds. `None`: unknown, so the next write writes all.
    written: Option<Stored>,
}

impl Disk {
    pub(crate) fn write(&mut self, served: &Served, as_of: &AsOf) {
        let next = Stored::of(served);
        let content = self.content.get_or_insert_default();
        if self.written.is_none() {
            content.objects.clear();
            content.retained.clear();
        }
        let Changes { objects, retained, format, root, as_of } =
            self.written.take().unwrap_or_default().changes_to(&next, as_of);
        for (table, rows) in [(&mut content.objects, objects), (&mut content.retained, retained)] {
            rows.removals.iter().for_each(|key| drop(table.remove(&key.to_string())));
            let upserts = rows.upserts.into_iter();
            table.extend(upserts.map(|object| (object.key().to_string(), object.bytes().clone())));
        }
        (content.format, content.root, content.as_of) = (format.into(), root.0.into(), as_of);
        self.written = Some(next);
    }

    /// A write failed; what was there before still is.
    pub(crate) fn fail(&mut self) {
        self.written = None;
    }

    /// A write was cut off in a way that the disk didn't undo.
    pub(crate) fn tear(&mut self) {
        if let Some(content) = &mut self.content {
            content.objects.pop_last();
        }
    }

    /// What a new process finds. What is damaged is set aside.
    pub(crate) fn open(&mut self) -> Option<Served> {
        let verified = self.content.clone().map(Content::verify);
        let Some(Ok((stored, served))) = verified else {
            *self = Self::default();
            return None;
        };
        self.written = Some(stored);
        Some(served)
    }
}
