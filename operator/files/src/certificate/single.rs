//! Certificates in files that settings name one by one, wherever they are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use operator_core::{CertificateSpec, Problem};

use super::{File, Files, Material, Role, pair};
use crate::folder::material;
use crate::scan::Stamp;

/// A certificate's file, and that of its private key if it is to have one: both may be the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFile {
    pub certificate: PathBuf,
    pub key: Option<PathBuf>,
}

/// Files that are read at once and read again when they were replaced.
pub struct CertificateFiles {
    files: Vec<CertificateFile>,
    /// What they were when they were read last.
    read: Stamps,
    /// What they were when they were looked at last.
    seen: Stamps,
}

/// `None` for a file that isn't there.
type Stamps = Vec<Option<Stamp>>;

impl CertificateFiles {
    pub const fn new(files: Vec<CertificateFile>) -> Self {
        Self { files, read: Vec::new(), seen: Vec::new() }
    }

    /// What the files say now, one for each. It blocks.
    ///
    /// # Errors
    /// The first thing that is wrong, with its file; none of it is used then.
    pub fn read(&mut self) -> Result<Vec<CertificateSpec>, Problem> {
        // Before: what changes meanwhile is another change.
        self.read = self.stamps();
        self.seen.clone_from(&self.read);
        self.files.iter().map(CertificateFile::read).collect()
    }

    /// Whether the files aren't those that were read, and stayed what they are since the last call: of two that are replaced
    /// one after the other, the second one is waited for. It blocks.
    pub fn are_replaced(&mut self) -> bool {
        let now = self.stamps();
        let is_settled = now == self.seen;
        self.seen = now;
        is_settled && self.seen != self.read
    }

    fn stamps(&self) -> Stamps {
        let paths = self.files.iter().flat_map(|file| [Some(&file.certificate), file.key.as_ref()]);
        paths.flatten().map(|path| Stamp::of(path).ok()).collect()
    }
}

impl CertificateFile {
    fn read(&self) -> Result<CertificateSpec, Problem> {
        let certificate = read(Role::Certificate, &self.certificate)?;
        let key = self.key.as_deref().map(|path| read(Role::Key, path)).transpose()?;
        let files = Files {
            certificate: Some(file(&self.certificate, &certificate)),
            key: self.key.as_deref().zip(key.as_ref()).map(|(path, key)| file(path, key)),
        };
        let spec = pair::spec(files, &(Some(certificate.clone()), key.clone()))?;
        spec.ok_or_else(|| crate::parse::file_problem(&name(&self.certificate), "has no certificate"))
    }
}

fn read(role: Role, path: &Path) -> Result<Arc<Material>, Problem> {
    material(role, path, &name(path)).map(Arc::new)
}

fn file<'f>(name: &'f Path, material: &'f Arc<Material>) -> File<'f> {
    File { name, material: Some(material), problems: &[] }
}

fn name(path: &Path) -> Arc<str> {
    path.to_string_lossy().into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;

    use super::super::tests::pair;
    use super::*;

    struct Pair(TempDir);

    impl Pair {
        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.path(name), text).unwrap();
            fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
        }

        fn files(&self) -> CertificateFiles {
            let file = CertificateFile { certificate: self.path("a.pem"), key: Some(self.path("b.pem")) };
            CertificateFiles::new(vec![file])
        }
    }

    #[test]
    fn a_pair_is_read_and_read_again_once_it_stays() {
        let folder = Pair(TempDir::new().unwrap());
        let (first, second) = (pair("a.test"), pair("b.test"));
        folder.write("a.pem", &first.0);
        folder.write("b.pem", &first.1);
        let mut files = folder.files();
        let before = files.read().unwrap();
        assert!(before[0].key.is_some() && before[0].warnings.is_empty());
        assert!(!files.are_replaced());

        folder.write("a.pem", &second.0);
        assert!(!files.are_replaced(), "it may still be written");
        folder.write("b.pem", &second.1);
        assert!(!files.are_replaced(), "and now its key");
        assert!(files.are_replaced());
        assert_ne!(files.read().unwrap()[0].chain, before[0].chain);
        assert!(!files.are_replaced());
    }

    #[test]
    fn one_file_can_have_both() {
        let folder = Pair(TempDir::new().unwrap());
        let (certificate, key) = pair("a.test");
        folder.write("a.pem", &format!("{key}{certificate}"));
        let both = CertificateFile { certificate: folder.path("a.pem"), key: Some(folder.path("a.pem")) };
        assert!(CertificateFiles::new(vec![both]).read().unwrap()[0].key.is_some());
    }

    #[test]
    fn says_which_file_is_wrong() {
        let folder = Pair(TempDir::new().unwrap());
        let (first, second) = (pair("a.test"), pair("b.test"));
        let said = |files: &mut CertificateFiles| files.read().unwrap_err().to_string();
        let mut files = folder.files();
        assert!(said(&mut files).contains("a.pem:1:1: can't be read"), "{}", said(&mut files));
        folder.write("a.pem", &first.0);
        folder.write("b.pem", &second.1);
        assert!(said(&mut files).contains("b.pem:1:1: isn't the private key"), "{}", said(&mut files));
        folder.write("b.pem", "");
        assert!(said(&mut files).contains("b.pem:1:1: has no private key"), "{}", said(&mut files));
        fs::remove_file(folder.path("b.pem")).unwrap();
        assert!(!files.are_replaced());
        assert!(files.are_replaced(), "a file that goes is a change, too");
    }
}
