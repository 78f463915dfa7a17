use std::path::Path;
use std::sync::Arc;

use operator_core::{CertificateSpec, Problem};

use super::{File, Files, Material, Role, pair, pem};

/// A certificate, with its private key if there is one, of PEM that isn't in files of ours: that of a Secret. `names` are those
/// of its entries, the certificate's first, which problems tell; `now` is as in the GeneralizedTime of X.509.
///
/// # Errors
/// What is wrong with it; no message repeats anything of its content.
pub fn certificate_of_pem(
    names: [&str; 2],
    certificate: &[u8],
    key: Option<&[u8]>,
    now: &str,
) -> Result<CertificateSpec, Problem> {
    // Nobody else can read what is no file.
    let read = |role, name: &str, text| pem::read(role, &name.into(), text, 0, now).map(Arc::new);
    let [of_certificate, of_key] = names;
    let certificate = read(Role::Certificate, of_certificate, certificate)?;
    let key = key.map(|text| read(Role::Key, of_key, text)).transpose()?;
    let files = Files {
        certificate: Some(file(of_certificate, &certificate)),
        key: key.as_ref().map(|key| file(of_key, key)),
    };
    let spec = pair::spec(files, &(Some(certificate.clone()), key.clone()))?;
    spec.ok_or_else(|| crate::parse::file_problem(&of_certificate.into(), "has no certificate"))
}

fn file<'f>(name: &'f str, material: &'f Arc<Material>) -> File<'f> {
    File { name: Path::new(name), material: Some(material), problems: &[] }
}
