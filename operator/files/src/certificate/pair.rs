//! Which certificate has which private key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dataplane_snapshot::{Key, Kind};
use operator_core::{CertificateSpec, Place, PrivateKey, Problem, Spec};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use super::Material;
use crate::metadata::is_name;
use crate::parse::{Object, file_problem};

/// Certificates have no place to name another namespace.
const NAMESPACE: &str = "default";

/// What the two files of one name say.
#[derive(Clone, Copy, Default)]
pub(crate) struct Files<'f> {
    pub(crate) certificate: Option<File<'f>>,
    pub(crate) key: Option<File<'f>>,
}

#[derive(Clone, Copy)]
pub(crate) struct File<'f> {
    pub(crate) name: &'f Path,
    /// `None` if it never was good.
    pub(crate) material: Option<&'f Arc<Material>>,
    /// Why it isn't good now.
    pub(crate) problems: &'f [Problem],
}

/// The pairs by the name of their files without the ending, with what each last gave: while a key doesn't fit its
/// certificate, because the two are being replaced one after the other, the last good pair stays.
#[derive(Debug, Default)]
pub(crate) struct Pairs(BTreeMap<PathBuf, Pair>);

#[derive(Debug)]
struct Pair {
    of: (Option<Arc<Material>>, Option<Arc<Material>>),
    good: Option<Arc<CertificateSpec>>,
    problems: Vec<Problem>,
}

/// The name of a file without its ending, by which a pair is found.
pub(crate) fn stem(path: &Path) -> PathBuf {
    path.with_extension("")
}

impl Pairs {
    /// The objects of all pairs, and the problems that none of them carries.
    pub(crate) fn join(&mut self, files: &BTreeMap<PathBuf, Files<'_>>) -> (Vec<Object>, Vec<Problem>) {
        self.0.retain(|stem, _| files.contains_key(stem));
        let (mut objects, mut problems) = (Vec::new(), Vec::new());
        for (stem, files) in files {
            let place = place(*files);
            let Some(name) = stem.file_name().and_then(|name| name.to_str()).filter(|name| is_name(name))
            else {
                let rule = "name it by lower-case letters, digits, '-' and '.'";
                problems.push(file_problem(&place.file, rule));
                continue;
            };
            let pair = self.pair(stem, *files);
            let of_files = [files.certificate, files.key].into_iter().flatten();
            let wrong: Vec<_> =
                of_files.flat_map(|file| file.problems).chain(&pair.problems).cloned().collect();
            let spec = match &pair.good {
                // What is wrong with it is told beside it: the last good one is used.
                Some(good) => {
                    problems.extend(wrong);
                    Spec::Certificate(Arc::clone(good))
                }
                None => Spec::Invalid(wrong),
            };
            if files.certificate.is_some() {
                let key = Key::new(Kind::Certificate, NAMESPACE, name);
                objects.push(Object { key, labels: BTreeMap::new(), spec, place });
            } else if let Spec::Invalid(wrong) = spec {
                problems.extend(wrong);
            }
        }
        (objects, problems)
    }

    fn pair(&mut self, stem: &Path, files: Files<'_>) -> &Pair {
        let material = |file: Option<File<'_>>| file.and_then(|file| file.material).cloned();
        let of = (material(files.certificate), material(files.key));
        let pair = self.0.entry(stem.to_owned()).or_insert_with(|| Pair {
            of: (None, None),
            good: None,
            problems: Vec::new(),
        });
        let is_same = |one: &Option<Arc<Material>>, other: &Option<Arc<Material>>| match (one, other) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        let known = pair.good.is_some() || !pair.problems.is_empty();
        if !known || !is_same(&pair.of.0, &of.0) || !is_same(&pair.of.1, &of.1) {
            let broken_key = files.key.is_some_and(|key| key.material.is_none());
            pair.problems = Vec::new();
            match spec(files, &of) {
                Ok(Some(spec)) if !broken_key => pair.good = Some(Arc::new(spec)),
                Ok(_) => {}
                Err(problem) => pair.problems = vec![problem],
            }
            pair.of = of;
        }
        pair
    }
}

/// `None` if the certificate never was good.
pub(super) fn spec(
    files: Files<'_>,
    of: &(Option<Arc<Material>>, Option<Arc<Material>>),
) -> Result<Option<CertificateSpec>, Problem> {
    let file = place(files).file;
    let chain = match of.0.as_deref() {
        Some(Material::Certificate { chain, warnings }) => Some((chain, warnings)),
        _ => None,
    };
    let key = match of.1.as_deref() {
        Some(Material::Key { key, warnings }) => Some((key, warnings)),
        _ => None,
    };
    let Some((chain, of_chain)) = chain else {
        if files.certificate.is_some() {
            return Ok(None);
        }
        return Err(file_problem(
            &file,
            "has no certificate beside it: put the file with the ending crt there",
        ));
    };
    if let (Some((key, _)), Some(first)) = (key, chain.first()) {
        let of_key = files.key.map_or(file, |key| key.name.to_string_lossy().into());
        fits(key, first).map_err(|message| file_problem(&of_key, message))?;
    }
    let of_key = key.iter().flat_map(|(_, warnings)| warnings.iter());
    Ok(Some(CertificateSpec {
        chain: chain.clone(),
        key: key.map(|(key, _)| key.clone()),
        authorities: Vec::new(),
        warnings: of_chain.iter().chain(of_key).cloned().collect(),
    }))
}

/// Whether the private key is the one that the certificate was made for.
fn fits(key: &PrivateKey, certificate: &[u8]) -> Result<(), &'static str> {
    let unusable = "is of a kind that isn't supported: use an RSA key of 2048 bits or more, ECDSA P-256, P-384 or P-521, \
                    or Ed25519";
    let der = PrivateKeyDer::try_from(&*key.0).map_err(|_| unusable)?;
    let key = any_supported_type(&der).map_err(|_| unusable)?;
    match CertifiedKey::new(vec![CertificateDer::from(certificate.to_vec())], key).keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(_) => {
            Err("isn't the private key of the certificate beside it: put there two that belong together")
        }
    }
}

fn place(files: Files<'_>) -> Place {
    let file = files.certificate.or(files.key).map(|file| file.name.to_string_lossy());
    Place { file: file.unwrap_or_default().into(), line: 1, column: 1 }
}
