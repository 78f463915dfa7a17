use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use operator_core::{CertificateSpec, Spec};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;

use crate::{FolderSource, check};

/// A certificate and its private key in PEM.
pub(super) fn pair(name: &str) -> (String, String) {
    of_years(name, 2000, 4000)
}

fn of_years(name: &str, from: i32, to: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(from, 1, 2);
    params.not_after = date_time_ymd(to, 1, 2);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// A folder whose certificates are read again after each write.
struct Folder {
    dir: TempDir,
    source: FolderSource,
}

impl Folder {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("certificates")).unwrap();
        let source = FolderSource::open(dir.path()).unwrap();
        Self { dir, source }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("certificates").join(name)
    }

    fn write(&mut self, name: &str, text: &str) -> &mut Self {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        self
    }

    /// The problems that no object carries.
    fn read(&mut self) -> Vec<String> {
        let files = self.source.list().files;
        let gone: Vec<_> =
            self.source.paths().filter(|path| !files.contains_key(*path)).map(Path::to_owned).collect();
        gone.iter().for_each(|path| self.source.forget(path));
        let files =
            files.into_iter().filter(|(path, stamp)| self.source.stamp(path) != Some(*stamp)).collect();
        self.source.read_files(files);
        let (problems, _) = self.source.settle(&std::collections::BTreeMap::<_, ()>::new(), &mut || 1);
        self.shown(&problems)
    }

    fn shown(&self, problems: &[operator_core::Problem]) -> Vec<String> {
        let folder = format!("{}/certificates/", self.dir.path().display());
        problems.iter().map(|problem| problem.to_string().replace(&folder, "")).collect()
    }

    fn spec(&self, name: &str) -> Option<Spec> {
        let key = format!("certificate/default/{name}").parse().unwrap();
        self.source.objects().get(&key).map(|observed| observed.spec.clone())
    }

    fn good(&self, name: &str) -> Arc<CertificateSpec> {
        match self.spec(name) {
            Some(Spec::Certificate(spec)) => spec,
            other => panic!("{name} is {other:?}"),
        }
    }

    fn said(&self, name: &str) -> Vec<String> {
        match self.spec(name) {
            Some(Spec::Invalid(problems)) => self.shown(&problems),
            other => panic!("{name} is {other:?}"),
        }
    }
}

#[test]
fn a_pair_is_a_certificate_with_its_private_key() {
    let (mut folder, (site, key), (ca, _)) = (Folder::new(), pair("a.test"), pair("ca"));
    folder.write("site.crt", &format!("a comment\n{site}{ca}")).write("site.key", &key).write("ca.crt", &ca);
    assert_eq!(folder.read(), [] as [&str; 0]);
    let site = folder.good("site");
    assert_eq!((site.chain.len(), site.key.is_some()), (2, true));
    assert_eq!(site.warnings, []);
    let ca = folder.good("ca");
    assert_eq!((&ca.chain[0], &ca.key), (&site.chain[1], &None));
}

#[test]
fn other_names_and_folders_are_no_certificates() {
    let (mut folder, (site, _)) = (Folder::new(), pair("a.test"));
    fs::write(folder.dir.path().join("site.crt"), &site).unwrap();
    folder.write("site.pem", &site).write("Site.crt", &site);
    let said = folder.read();
    assert_eq!(said, ["Site.crt:1:1: name it by lower-case letters, digits, '-' and '.'"]);
    assert!(folder.source.objects().is_empty());
}

#[test]
fn two_that_are_replaced_one_after_the_other_stay_until_they_fit() {
    let (mut folder, old, new) = (Folder::new(), pair("a.test"), pair("a.test"));
    folder.write("site.crt", &old.0).write("site.key", &old.1).read();
    let before = folder.good("site");
    folder.write("site.crt", &new.0);
    let said = "site.key:1:1: isn't the private key of the certificate beside it: put there two that belong together";
    assert_eq!(folder.read(), [said]);
    assert_eq!(folder.good("site"), before);
    folder.write("site.key", &new.1);
    assert_eq!(folder.read(), [] as [&str; 0]);
    assert_ne!(folder.good("site"), before);
}

#[test]
fn what_breaks_keeps_what_it_was_and_what_goes_is_gone() {
    let (mut folder, (site, key)) = (Folder::new(), pair("a.test"));
    folder.write("site.crt", &site).write("site.key", &key).read();
    let before = folder.good("site");
    folder.write("site.key", "nonsense");
    assert_eq!(
        folder.read(),
        ["site.key:1:1: has no private key: write it in PEM, as PKCS #8, PKCS #1 or SEC 1"]
    );
    assert_eq!(folder.good("site"), before);
    folder.write("site.crt", "").write("site.key", &key);
    let said =
        "site.crt:1:1: has no certificate: write it in PEM, beginning with -----BEGIN CERTIFICATE-----";
    assert_eq!(folder.read(), [said]);
    assert_eq!(folder.good("site"), before);
    fs::remove_file(folder.path("site.crt")).unwrap();
    let said = "site.key:1:1: has no certificate beside it: put the file with the ending crt there";
    assert_eq!(folder.read(), [said]);
    assert_eq!(folder.spec("site"), None);
}

#[test]
fn what_never_was_good_says_why() {
    let (site, key) = pair("a.test");
    let (_, other) = pair("b.test");
    let half = site.get(..site.len() / 2).unwrap();
    let no_x509 = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (certificate, key, said) in [
        (format!("{site}{half}").as_str(), key.as_str(), "site.crt:1:1: certificate 2 isn't whole PEM"),
        (no_x509, &key, "site.crt:1:1: certificate 1 isn't X.509"),
        (&site, &other, "site.key:1:1: isn't the private key of the certificate beside it"),
        (&site, encrypted, "site.key:1:1: is encrypted: write the private key without a password"),
    ] {
        let mut folder = Folder::new();
        folder.write("site.crt", certificate).write("site.key", key);
        assert_eq!(folder.read(), [] as [&str; 0]);
        let told = folder.said("site");
        assert!(told.len() == 1 && told[0].starts_with(said), "{told:?}");
    }
}

#[test]
fn dates_and_open_keys_are_warnings() {
    for ((site, key), said) in [
        (of_years("a.test", 2000, 2001), "site.crt:1:1: is expired since 2001-01-02 00:00:00 UTC: renew it"),
        (of_years("a.test", 1980, 1990), "site.crt:1:1: is expired since 1990-01-02 00:00:00 UTC: renew it"),
        (of_years("a.test", 3000, 3001), "site.crt:1:1: isn't valid before 3000-01-02 00:00:00 UTC"),
    ] {
        let mut folder = Folder::new();
        folder.write("site.crt", &site).write("site.key", &key).read();
        assert_eq!(folder.shown(&folder.good("site").warnings), [said]);
    }
    let (mut folder, (site, key)) = (Folder::new(), pair("a.test"));
    folder.write("site.crt", &site).write("site.key", &key);
    fs::set_permissions(folder.path("site.key"), fs::Permissions::from_mode(0o644)).unwrap();
    folder.read();
    let said = ["site.key:1:1: can be read by others (mode 644): chmod 600"];
    assert_eq!(folder.shown(&folder.good("site").warnings), said);
    fs::set_permissions(folder.path("site.key"), fs::Permissions::from_mode(0o440)).unwrap();
    folder.read();
    assert_eq!(folder.shown(&folder.good("site").warnings), [""; 0]);
}

#[test]
fn check_knows_certificates() {
    let (mut folder, (site, key)) = (Folder::new(), of_years("a.test", 2000, 2001));
    folder.write("site.crt", &site).write("site.key", &key).write("broken.crt", "nonsense");
    let backend =
        "{apiVersion: komainu.dev/v1alpha1, kind: Backend, metadata: {name: b}, spec: {targets: []}}";
    fs::write(folder.dir.path().join("backend.yaml"), backend).unwrap();
    let report = check(&[folder.dir.path().to_owned()], None).to_string();
    for said in [
        "broken.crt:1:1: has no certificate",
        "warning: ",
        "site.crt:1:1: is expired",
        "4 files: 1 backend, 0 routes and 2 certificates, 1 problem, 2 warnings",
    ] {
        assert!(report.contains(said), "{report}");
    }
}

#[test]
fn nothing_of_a_key_is_shown() {
    let (mut folder, (site, key)) = (Folder::new(), pair("a.test"));
    folder.write("site.crt", &site).write("site.key", &key).read();
    let good = folder.good("site");
    let secret = good.key.as_ref().unwrap();
    let bytes: Vec<_> = secret.0.iter().skip(40).take(8).map(ToString::to_string).collect();
    let shown = format!("{:?} {:?} {:?}", folder.source, good, folder.source.objects());
    assert!(!shown.contains(&bytes.join(", ")) && shown.contains("PrivateKey(…)"));
}
