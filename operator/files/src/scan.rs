//! Which files a folder has, and what tells that one changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::certificate::Role;
use crate::secret;

/// What `stat` says of a file. It changes with every write and every replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    /// Whether it is reached through a symbolic link. Such files are replaced as a whole, as in a mounted ConfigMap.
    pub(crate) linked: bool,
}

impl Stamp {
    /// # Errors
    /// If there is no such file, it can't be read, or it is something else than a file.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "not a file"));
        }
        Ok(Self::from(&metadata, fs::symlink_metadata(path)?.is_symlink()))
    }

    fn from(metadata: &Metadata, linked: bool) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            linked,
        }
    }
}

/// All resource files below a folder.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) files: BTreeMap<PathBuf, Stamp>,
    /// Folders and files that couldn't be read: nothing is known about what is in them.
    pub(crate) failed: Vec<(PathBuf, io::Error)>,
    folders: BTreeSet<(u64, u64)>,
}

impl Listing {
    pub(crate) fn of(root: &Path) -> Self {
        let mut listing = Self::default();
        listing.folder(root, false);
        listing
    }

    /// A single file, whatever its name.
    pub(crate) fn of_file(path: &Path) -> Self {
        let mut listing = Self::default();
        match Stamp::of(path) {
            Ok(stamp) => drop(listing.files.insert(path.to_owned(), stamp)),
            Err(error) => listing.failed.push((path.to_owned(), error)),
        }
        listing
    }

    /// Whether `path` couldn't be looked at, so that its absence says nothing.
    pub(crate) fn is_unknown(&self, path: &Path) -> bool {
        self.failed.iter().any(|(failed, _)| path.starts_with(failed))
    }

    fn folder(&mut self, folder: &Path, linked: bool) {
        let listed = fs::metadata(folder).and_then(|metadata| {
            // A folder that was listed already: links make a circle, or two ways to one place.
            let first = self.folders.insert((metadata.dev(), metadata.ino()));
            if first { fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>() } else { Ok(Vec::new()) }
        });
        match listed {
            Err(error) => self.failed.push((folder.to_owned(), error)),
            Ok(entries) => entries.into_iter().for_each(|entry| self.entry(&entry, linked)),
        }
    }

    fn entry(&mut self, entry: &fs::DirEntry, linked: bool) {
        let path = entry.path();
        if is_hidden(&path) {
            return;
        }
        let linked = linked || entry.file_type().is_ok_and(|kind| kind.is_symlink());
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => self.folder(&path, linked),
            Ok(metadata) if metadata.is_file() && is_resource(&path) => {
                self.files.insert(path, Stamp::from(&metadata, linked));
            }
            // A link to nothing, or gone since it was listed: not there. What else can't be looked at isn't known.
            Err(error) if error.kind() != io::ErrorKind::NotFound => self.failed.push((path, error)),
            _ => {}
        }
    }
}

/// Device and inode: another one if another folder was put in its place.
pub(crate) fn identity(folder: &Path) -> Option<(u64, u64)> {
    fs::metadata(folder).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Whether a file of this name is read.
pub(crate) fn is_resource(path: &Path) -> bool {
    let known = ["yaml", "yml", "json"];
    let is_yaml = path.extension().is_some_and(|extension| known.iter().any(|known| extension == *known));
    (is_yaml || Role::of(path).is_some() || secret::is_entry(path)) && !is_hidden(path)
}

/// Names that begin with a dot: what editors put beside a file, version control, and `..data` of a ConfigMap.
pub(crate) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}
