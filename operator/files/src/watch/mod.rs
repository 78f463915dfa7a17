//! Follows a folder: each change becomes a new view.

mod follow;
mod hint;

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use dataplane_snapshot::Epoch;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use operator_core::{Problem, SourceView};
use tokio::sync::watch as channel;

use crate::{FolderError, FolderSource};
use follow::Follower;

/// What numbers the changes of the folder: in Komainu the leader's state store, so that the numbers also grow over a
/// restart.
pub struct Numbering {
    pub epoch: Epoch,
    /// Gives a larger number at each call, from 1.
    pub next: Box<dyn FnMut() -> u64 + Send>,
}

/// Follows the folder until it is dropped.
#[derive(Debug)]
pub struct Watching {
    messages: mpsc::Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Message {
    Event(notify::Result<notify::Event>),
    Stop,
}

/// Follows `folder` on a thread of its own. `view` gets each new state of its objects, the first as soon as everything is
/// read; `problems` what no object carries itself, whenever it changes. An object's own problems are in its
/// [`Spec::Invalid`](operator_core::Spec::Invalid) and go through its status.
///
/// A file is read when whoever writes it closes it or puts it in place, so that half-written files aren't seen. Changes of
/// which the system doesn't tell are found by a listing every few seconds.
///
/// # Errors
/// If `folder` isn't a folder that can be listed.
pub fn watch(
    folder: impl Into<PathBuf>,
    numbering: Numbering,
    view: channel::Sender<Option<Arc<SourceView>>>,
    problems: channel::Sender<Arc<Vec<Problem>>>,
) -> Result<Watching, FolderError> {
    let source = FolderSource::open(folder)?;
    let (messages, received) = mpsc::channel();
    let follower = Follower::new(source, numbering, view, problems, messages.clone());
    let thread = thread::Builder::new().name("files".to_owned()).spawn(move || follower.run(&received));
    let thread = thread.map_err(|source| FolderError { path: PathBuf::new(), source })?;
    Ok(Watching { messages, thread: Some(thread) })
}

/// Asks the system to tell of changes below `root`.
fn listen(root: &Path, messages: &mpsc::Sender<Message>) -> notify::Result<RecommendedWatcher> {
    let messages = messages.clone();
    // The receiver is only gone when nobody follows any more.
    let tell = move |event| drop(messages.send(Message::Event(event)));
    let mut watcher = notify::recommended_watcher(tell)?;
    watcher.watch(&watched(root), RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// The name by which the folder is watched, and with which all names in events begin.
fn watched(root: &Path) -> PathBuf {
    std::path::absolute(root).unwrap_or_else(|_| root.to_owned())
}

impl Drop for Watching {
    fn drop(&mut self) {
        // Fails if the thread ended already.
        drop(self.messages.send(Message::Stop));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
