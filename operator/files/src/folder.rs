//! Reads the files of a folder and remembers what they gave.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dataplane_snapshot::Kind;
use operator_core::{Place, Problem};

use crate::certificate::{self, Files, Material, Pairs, Role, stem};
use crate::locate::locate;
use crate::merge::{self, Objects};
use crate::parse::{Parsed, file_problem, parse};
use crate::scan::{Listing, Stamp};
use crate::secret;

/// Larger files are refused, in bytes: 80,000 routes are about as much.
const MAX_FILE_BYTES: u64 = 32 * 1024 * 1024;

/// Why a folder can't be a source.
#[derive(Debug, thiserror::Error)]
#[error("the folder {path} can't be read: {source}; give an existing folder that this user may read")]
pub struct FolderError {
    pub path: PathBuf,
    pub source: io::Error,
}

/// All that a folder gives.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    pub objects: Objects,
    /// What no object carries itself: broken files, documents that give no object, keys claimed twice.
    pub problems: Vec<Problem>,
}

/// A folder of YAML and JSON files, with its subfolders. Names that begin with a dot are left out.
#[derive(Debug)]
pub struct FolderSource {
    root: PathBuf,
    files: BTreeMap<PathBuf, File>,
    objects: Objects,
    certificates: Pairs,
    /// Problems of the folder itself, as of the last listing.
    unavailable: Vec<Problem>,
    /// Whether something was read or left out since the files were last joined.
    pub(crate) touched: bool,
}

#[derive(Debug)]
struct File {
    stamp: Stamp,
    /// What it gave when it last was good.
    parsed: Parsed,
    /// Why it isn't good now.
    problems: Vec<Problem>,
}

impl FolderSource {
    /// # Errors
    /// If `root` isn't a folder that can be listed.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, FolderError> {
        let root = root.into();
        match fs::read_dir(&root) {
            Err(source) => Err(FolderError { path: root, source }),
            Ok(_) => Ok(Self::empty(root)),
        }
    }

    /// Reads the whole folder once; every generation is 1.
    ///
    /// # Errors
    /// If `root` isn't a folder that can be listed.
    pub fn load(root: impl Into<PathBuf>) -> Result<Loaded, FolderError> {
        let mut source = Self::open(root)?;
        let listing = source.list();
        source.read_files(listing.files);
        let (problems, _) = source.settle(&BTreeMap::<_, ()>::new(), &mut || 1);
        Ok(Loaded { objects: source.objects, problems })
    }

    /// Exactly these files, read once.
    pub(crate) fn of(files: BTreeMap<PathBuf, Stamp>) -> Self {
        let mut source = Self::empty(PathBuf::new());
        source.read_files(files);
        source
    }

    fn empty(root: PathBuf) -> Self {
        Self {
            root,
            files: BTreeMap::new(),
            objects: Objects::new(),
            certificates: Pairs::default(),
            unavailable: Vec::new(),
            touched: true,
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn objects(&self) -> &Objects {
        &self.objects
    }

    pub(crate) fn stamp(&self, path: &Path) -> Option<Stamp> {
        self.files.get(path).map(|file| file.stamp)
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    /// Looks which files there are, and keeps in mind what can't be looked at.
    pub(crate) fn list(&mut self) -> Listing {
        let listing = Listing::of(&self.root);
        let problem = |(path, error): &(PathBuf, io::Error)| {
            file_problem(&name(path), format!("can't be read: {error}; what was known of it stays"))
        };
        let unavailable: Vec<_> = listing.failed.iter().map(problem).collect();
        self.touched |= unavailable != self.unavailable;
        self.unavailable = unavailable;
        listing
    }

    /// Reads many files, on as many threads as there are processors.
    pub(crate) fn read_files(&mut self, files: BTreeMap<PathBuf, Stamp>) {
        let files: Vec<_> = files.into_iter().collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(files.len());
        let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = || {
            while let Some((path, stamp)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                let read = read(path, *stamp, self.files.get(path));
                results.lock().unwrap_or_else(PoisonError::into_inner).push((path.clone(), read));
            }
        };
        std::thread::scope(|scope| {
            (1..threads).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        for (path, read) in results.into_inner().unwrap_or_else(PoisonError::into_inner) {
            self.put(path, read);
        }
    }

    /// Reads one file again.
    pub(crate) fn read_file(&mut self, path: PathBuf, stamp: Stamp) {
        let read = read(&path, stamp, self.files.get(&path));
        self.put(path, read);
    }

    fn put(&mut self, path: PathBuf, read: Result<File, Unread>) {
        self.touched = true;
        match read {
            Ok(file) => drop(self.files.insert(path, file)),
            Err(Unread { stamp, problems }) => {
                let file = self.files.entry(path).or_insert_with(|| File {
                    stamp,
                    parsed: Parsed::default(),
                    problems: Vec::new(),
                });
                (file.stamp, file.problems) = (stamp, problems);
            }
        }
    }

    /// The file is gone, and with it its objects.
    pub(crate) fn forget(&mut self, path: &Path) {
        self.touched |= self.files.remove(path).is_some();
    }

    /// The place of a field, in the text that was read.
    pub(crate) fn locate(&self, document: &Place, field: &str) -> Option<Place> {
        let file = self.files.get(Path::new(&*document.file))?;
        locate(file.parsed.text(), document, field)
    }

    /// Joins what the files give now. Gives all problems, and the kinds that changed with the number of the change.
    ///
    /// Files of `missing` count after all others: if one was renamed, the new name has its objects.
    pub(crate) fn settle<T>(
        &mut self,
        missing: &BTreeMap<PathBuf, T>,
        next: &mut dyn FnMut() -> u64,
    ) -> (Vec<Problem>, BTreeMap<Kind, u64>) {
        self.touched = false;
        let (certificates, of_certificates) = self.certificates.join(&pairs(&self.files));
        let secrets =
            self.files.iter().filter_map(|(path, file)| Some((&**path, &*file.parsed.secret.as_ref()?.0)));
        let (secrets, of_secrets) = secret::join(secrets);
        let material = Parsed::of(certificates.into_iter().chain(secrets).collect());
        let (gone, here): (Vec<_>, Vec<_>) =
            self.files.iter().partition(|(path, _)| missing.contains_key(*path));
        let mut joined = parsed(&here);
        joined.push(&material);
        let merged = merge::merge(&joined, &parsed(&gone), &self.objects, next);
        self.objects = merged.objects;
        let of_files = here.iter().filter(|(path, _)| Role::of(path).is_none());
        let of_files = of_files.flat_map(|(_, file)| file.problems.iter().chain(&file.parsed.problems));
        let mut problems: Vec<_> = self.unavailable.iter().chain(of_files).cloned().collect();
        problems.extend(of_certificates.into_iter().chain(of_secrets));
        problems.extend(merged.duplicates);
        (problems, merged.changed)
    }
}

fn parsed<'f>(files: &[(&PathBuf, &'f File)]) -> Vec<&'f Parsed> {
    files.iter().map(|(_, file)| &file.parsed).collect()
}

/// The certificates and private keys, by the names of their files without the ending.
fn pairs(files: &BTreeMap<PathBuf, File>) -> BTreeMap<PathBuf, Files<'_>> {
    let mut pairs: BTreeMap<PathBuf, Files<'_>> = BTreeMap::new();
    for (path, file) in files {
        let Some(role) = Role::of(path) else { continue };
        let (material, problems) = (file.parsed.material.as_ref(), &*file.problems);
        let found = Some(certificate::File { name: path, material, problems });
        let pair = pairs.entry(stem(path)).or_default();
        match role {
            Role::Certificate => pair.certificate = found,
            Role::Key => pair.key = found,
        }
    }
    pairs
}

/// A file that isn't good, so that what it last gave stays.
struct Unread {
    stamp: Stamp,
    problems: Vec<Problem>,
}

fn read(path: &Path, stamp: Stamp, before: Option<&File>) -> Result<File, Unread> {
    let name = name(path);
    if let Some(role) = Role::of(path) {
        let material = material(role, path, &name);
        let parsed = material.map_err(|problem| Unread { stamp, problems: vec![problem] })?;
        return Ok(File { stamp, parsed: Parsed::of_material(parsed), problems: Vec::new() });
    }
    if secret::is_entry(path) {
        let text = entry(path, &name).map_err(|problem| Unread { stamp, problems: vec![problem] })?;
        return Ok(File { stamp, parsed: Parsed::of_secret(&text), problems: Vec::new() });
    }
    let text = text(path, &name).map_err(|problem| Unread { stamp, problems: vec![problem] })?;
    let before = before.map(|file| &file.parsed);
    let mut parsed = parse(&name, text.into(), before).map_err(|problems| Unread { stamp, problems })?;
    if parsed.doubtful {
        parsed.keep_missing(before);
    }
    Ok(File { stamp, parsed, problems: Vec::new() })
}

pub(crate) fn material(role: Role, path: &Path, name: &Arc<str>) -> Result<Material, Problem> {
    let unreadable = |error: io::Error| file_problem(name, format!("can't be read: {error}"));
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.len() > certificate::MAX_BYTES {
        let most = certificate::MAX_BYTES / 1024;
        return Err(file_problem(name, format!("is larger than {most} KiB; split it into several files")));
    }
    let text = fs::read(path).map_err(unreadable)?;
    let now = jiff::Timestamp::now().strftime("%Y%m%d%H%M%SZ").to_string();
    certificate::read(role, name, &text, metadata.mode(), &now)
}

fn entry(path: &Path, name: &Arc<str>) -> Result<String, Problem> {
    let unreadable = |error: io::Error| file_problem(name, format!("can't be read: {error}"));
    if fs::metadata(path).map_err(unreadable)?.len() > secret::MAX_BYTES {
        let most = secret::MAX_BYTES / 1024;
        return Err(file_problem(name, format!("is larger than {most} KiB, which is too much for a secret")));
    }
    secret::read(name, fs::read(path).map_err(unreadable)?)
}

fn text(path: &Path, name: &Arc<str>) -> Result<String, Problem> {
    let unreadable = |error: io::Error| file_problem(name, format!("can't be read: {error}"));
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE_BYTES {
        let most = MAX_FILE_BYTES / 1024 / 1024;
        return Err(file_problem(name, format!("is larger than {most} MiB; split it into several files")));
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let mut problem = file_problem(name, "isn't UTF-8 text from here on; save the file as UTF-8");
        if let Some(place) = &mut problem.place {
            let line = good.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
            place.line += good.iter().filter(|byte| **byte == b'\n').count() as u64;
            place.column += String::from_utf8_lossy(line).chars().count() as u64;
        }
        problem
    })
}

fn name(path: &Path) -> Arc<str> {
    path.to_string_lossy().into()
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
