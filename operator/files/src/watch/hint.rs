//! What an event of the file system says about resource files. Pure but for a look at what a new name is.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, CreateKind, Event, EventKind, ModifyKind, RenameMode};

use crate::scan::{is_hidden, is_resource};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// The file is complete: closed after writing, or put in place.
    Ready(PathBuf),
    /// A folder was put in place with all that is in it.
    Arrived(PathBuf),
    /// The file or folder isn't there any more.
    Gone(PathBuf),
    /// A link that other files are reached through, such as `..data` of a ConfigMap, points elsewhere.
    Swapped,
    /// Something happened that doesn't tell which files are complete.
    Look,
    /// Events were lost, or the watch itself.
    Lost,
}

/// `watched` is the absolute form of `root`, with which the system names the files.
pub(super) fn hints(event: &Event, root: &Path, watched: &Path) -> Vec<Hint> {
    if event.need_rescan() {
        return vec![Hint::Lost];
    }
    let named = |path: &PathBuf| match path.strip_prefix(watched) {
        Ok(below) if below.as_os_str().is_empty() => root.to_owned(),
        Ok(below) => root.join(below),
        Err(_) => path.clone(),
    };
    match event.kind {
        // A rename inside the folder was told before, as one away and one to here.
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => Vec::new(),
        kind => event.paths.iter().filter_map(|path| hint(kind, &named(path), root)).collect(),
    }
}

fn hint(kind: EventKind, path: &Path, root: &Path) -> Option<Hint> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) if is_resource(path) && seen(path, root) => {
            Some(Hint::Ready(path.to_owned()))
        }
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) if path == root => {
            Some(Hint::Lost)
        }
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => gone(path, root),
        EventKind::Modify(ModifyKind::Name(_)) => arrived(path, root),
        EventKind::Create(kind) => created(kind, path, root),
        EventKind::Modify(ModifyKind::Metadata(_)) => seen(path, root).then_some(Hint::Look),
        _ => None,
    }
}

fn gone(path: &Path, root: &Path) -> Option<Hint> {
    // A folder's name needn't look like a resource, and nothing tells any more whether it was one.
    seen(path, root).then(|| Hint::Gone(path.to_owned()))
}

fn arrived(path: &Path, root: &Path) -> Option<Hint> {
    if is_hidden(path) && path.is_symlink() && path.parent().is_some_and(|folder| seen(folder, root)) {
        return Some(Hint::Swapped);
    }
    if !seen(path, root) {
        return None;
    }
    if path.is_dir() {
        return Some(Hint::Arrived(path.to_owned()));
    }
    is_resource(path).then(|| Hint::Ready(path.to_owned()))
}

/// A file that is created gets its content later, but a link is complete at once.
fn created(kind: CreateKind, path: &Path, root: &Path) -> Option<Hint> {
    if !seen(path, root) {
        return None;
    }
    let metadata = fs::symlink_metadata(path).ok();
    let is_link = metadata
        .is_some_and(|metadata| metadata.is_symlink() || (metadata.is_file() && metadata.nlink() > 1));
    match kind {
        CreateKind::Folder => Some(Hint::Look),
        _ if is_link && path.is_dir() => Some(Hint::Arrived(path.to_owned())),
        _ => (is_link && is_resource(path)).then(|| Hint::Ready(path.to_owned())),
    }
}

/// Whether no part of the name below `root` is hidden.
fn seen(path: &Path, root: &Path) -> bool {
    path.strip_prefix(root).is_ok_and(|path| !path.ancestors().any(is_hidden))
}
