//! The thread that follows a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use dataplane_snapshot::{Kind, SourceAsOf};
use notify::RecommendedWatcher;
use operator_core::{Owner, Problem, SourceView};
use tokio::sync::watch as channel;

use super::hint::{Hint, hints};
use super::{Message, Numbering, listen, watched};
use crate::FolderSource;
use crate::parse::file_problem;
use crate::scan::{self, Listing, Stamp};

/// How often the folder is listed, for changes of which no event told.
const LISTING_INTERVAL: Duration = Duration::from_secs(3);
/// How long a file must stay as it is before it is read without an event that says it is complete.
const SETTLE: Duration = Duration::from_millis(100);
/// How long a name may be missing before its objects go: editors and version control take a file away and put the new
/// one in its place, and in between no request shall fail.
const GONE: Duration = Duration::from_millis(50);

pub(super) struct Follower {
    source: FolderSource,
    numbering: Numbering,
    revisions: BTreeMap<Kind, u64>,
    view: channel::Sender<Option<Arc<SourceView>>>,
    problems: channel::Sender<Arc<Vec<Problem>>>,
    messages: mpsc::Sender<Message>,
    watcher: notify::Result<RecommendedWatcher>,
    /// The folder that is watched, by device and inode.
    watched: Option<(u64, u64)>,
    /// Changed files that may not be complete, and since when they are as they are.
    unsettled: BTreeMap<PathBuf, (Stamp, Instant)>,
    /// Missing files, and when their objects go.
    missing: BTreeMap<PathBuf, Instant>,
    next_listing: Instant,
    /// Whether the folder was listed once.
    synced: bool,
}

/// Which of the changed files that a listing finds are known to be complete.
#[derive(Clone, Copy)]
enum Complete<'p> {
    None,
    Below(&'p Path),
    Linked,
    All,
}

impl Follower {
    pub(super) fn new(
        source: FolderSource,
        numbering: Numbering,
        view: channel::Sender<Option<Arc<SourceView>>>,
        problems: channel::Sender<Arc<Vec<Problem>>>,
        messages: mpsc::Sender<Message>,
    ) -> Self {
        // Before the first listing, so that no change falls between the two.
        let watcher = listen(source.root(), &messages);
        let watched = watcher.as_ref().ok().and_then(|_| scan::identity(source.root()));
        Self {
            source,
            numbering,
            revisions: BTreeMap::new(),
            view,
            problems,
            messages,
            watcher,
            watched,
            unsettled: BTreeMap::new(),
            missing: BTreeMap::new(),
            next_listing: Instant::now(),
            synced: false,
        }
    }

    pub(super) fn run(mut self, received: &mpsc::Receiver<Message>) {
        self.look(Complete::All, Instant::now());
        self.publish();
        loop {
            let due =
                self.missing.values().min().map_or(self.next_listing, |gone| self.next_listing.min(*gone));
            let mut first = match received.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(mpsc::RecvTimeoutError::Timeout) => None,
                Ok(message) => Some(message),
            };
            // What arrived in the meantime belongs to the same change; nothing is waited for.
            while let Some(message) = first.take().or_else(|| received.try_recv().ok()) {
                match message {
                    Message::Stop => return,
                    Message::Event(event) => self.event(event),
                }
            }
            self.timers(Instant::now());
            self.publish();
        }
    }

    fn event(&mut self, event: notify::Result<notify::Event>) {
        let now = Instant::now();
        let root = self.source.root();
        let hints = event.map_or_else(|_| vec![Hint::Lost], |event| hints(&event, root, &watched(root)));
        for hint in hints {
            match hint {
                Hint::Ready(path) => self.ready(path, now),
                Hint::Gone(path) => self.gone(&path, now),
                Hint::Arrived(folder) => self.look(Complete::Below(&folder), now),
                Hint::Swapped => self.look(Complete::Linked, now),
                Hint::Look => self.next_listing = self.next_listing.min(now + SETTLE / 10),
                Hint::Lost => {
                    self.watched = None;
                    self.look(Complete::None, now);
                }
            }
        }
    }

    fn ready(&mut self, path: PathBuf, now: Instant) {
        match Stamp::of(&path) {
            Err(_) => self.gone(&path, now),
            Ok(stamp) => {
                self.missing.remove(&path);
                self.unsettled.remove(&path);
                self.source.read_file(path, stamp);
            }
        }
    }

    /// Also of a folder: all that was in it is missing.
    fn gone(&mut self, path: &Path, now: Instant) {
        let below: Vec<_> =
            self.source.paths().filter(|known| known.starts_with(path)).map(Path::to_owned).collect();
        for known in below {
            self.missing.entry(known).or_insert(now + GONE);
        }
    }

    fn timers(&mut self, now: Instant) {
        if now >= self.next_listing {
            self.look(Complete::None, now);
        }
        let due: Vec<_> =
            self.missing.iter().filter(|(_, at)| **at <= now).map(|(path, _)| path.clone()).collect();
        for path in due {
            self.missing.remove(&path);
            match Stamp::of(&path) {
                // It is back, and no event said that it is complete: the next listing takes care of it.
                Ok(_) => self.next_listing = self.next_listing.min(now + SETTLE),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.source.forget(&path),
                // Not to be seen isn't gone.
                Err(_) => {}
            }
        }
    }

    /// Watches the folder that has the name now, if it isn't the one that is watched.
    fn listen(&mut self) {
        let there = scan::identity(self.source.root());
        if there.is_none() || there != self.watched {
            self.watcher = listen(self.source.root(), &self.messages);
            self.watched = there.filter(|_| self.watcher.is_ok());
            self.source.touched = true;
        }
    }

    /// Lists the folder and takes in what is known to be complete.
    fn look(&mut self, complete: Complete<'_>, now: Instant) {
        self.listen();
        let listing = self.source.list();
        if !self.synced {
            // The root itself couldn't be listed: nothing is known, which isn't nothing.
            if listing.is_unknown(self.source.root()) {
                self.next_listing = now + LISTING_INTERVAL;
                return;
            }
            self.synced = true;
        }
        let known: Vec<_> = self.source.paths().map(Path::to_owned).collect();
        for path in known {
            if !listing.files.contains_key(&path) && !listing.is_unknown(&path) {
                self.missing.entry(path).or_insert(now + GONE);
            }
        }
        let read = self.complete(listing, complete, now);
        self.source.read_files(read);
        self.next_listing = now + if self.unsettled.is_empty() { LISTING_INTERVAL } else { SETTLE };
    }

    /// The changed files of a listing that can be read now; keeps the others in mind.
    fn complete(
        &mut self,
        listing: Listing,
        complete: Complete<'_>,
        now: Instant,
    ) -> BTreeMap<PathBuf, Stamp> {
        let mut read = BTreeMap::new();
        let before = std::mem::take(&mut self.unsettled);
        for (path, stamp) in listing.files {
            self.source.touched |= self.missing.remove(&path).is_some();
            if self.source.stamp(&path) == Some(stamp) {
                continue;
            }
            let since = before.get(&path).filter(|(old, _)| *old == stamp).map_or(now, |(_, since)| *since);
            let is_complete = match complete {
                Complete::None => false,
                Complete::Below(folder) => path.starts_with(folder),
                Complete::Linked => stamp.linked,
                Complete::All => true,
            };
            if is_complete || now >= since + SETTLE {
                read.insert(path, stamp);
            } else {
                self.unsettled.insert(path, (stamp, since));
            }
        }
        read
    }

    fn publish(&mut self) {
        if !self.synced || !self.source.touched {
            return;
        }
        let before = self.source.objects().clone();
        let (mut problems, changed) = self.source.settle(&self.missing, &mut self.numbering.next);
        if let Err(error) = &self.watcher {
            let root: Arc<str> = self.source.root().to_string_lossy().into();
            let message =
                format!("can't be watched: {error}; changes are only seen every {LISTING_INTERVAL:?}");
            problems.push(file_problem(&root, message));
        }
        let first = self.view.borrow().is_none();
        if first {
            let number = changed.values().max().copied().unwrap_or_else(|| (self.numbering.next)());
            self.revisions =
                [Kind::Backend, Kind::Route, Kind::Certificate].map(|kind| (kind, number)).into();
        }
        self.revisions.extend(changed);
        let objects = self.source.objects();
        let same = before.len() == objects.len()
            && before.values().zip(objects.values()).all(|(a, b)| Arc::ptr_eq(a, b));
        if first || !same {
            let as_of = SourceAsOf { epoch: self.numbering.epoch.clone(), revisions: self.revisions.clone() };
            let view = SourceView { owner: Owner::Files, as_of, objects: objects.clone() };
            self.view.send_replace(Some(Arc::new(view)));
        }
        self.problems.send_if_modified(|told| {
            let new = **told != problems;
            if new {
                *told = Arc::new(problems);
            }
            new
        });
    }
}
