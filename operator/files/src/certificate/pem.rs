use std::sync::Arc;

use bytes::Bytes;
use operator_core::{PrivateKey, Problem};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;

use super::validity::{self, Validity};
use super::{Material, Role};
use crate::parse::file_problem;

/// What nobody but the owner needs. The group may read: so a pod's user reads what Kubernetes mounts.
const OTHERS: u32 = 0o037;

/// Reads PEM (RFC 7468). `mode` is that of the file, `now` a time as in [`validity`].
///
/// # Errors
/// What is wrong with the file; no message repeats anything of its content.
pub(crate) fn read(
    role: Role,
    file: &Arc<str>,
    text: &[u8],
    mode: u32,
    now: &str,
) -> Result<Material, Problem> {
    match role {
        Role::Certificate => certificate(file, text, now),
        Role::Key => key(file, text, mode),
    }
}

fn certificate(file: &Arc<str>, text: &[u8], now: &str) -> Result<Material, Problem> {
    let mut chain = Vec::new();
    for found in CertificateDer::pem_slice_iter(text) {
        let number = chain.len() + 1;
        let der = found.map_err(|_| file_problem(file, format!("certificate {number} isn't whole PEM")))?;
        if ParsedCertificate::try_from(&der).is_err() {
            return Err(file_problem(file, format!("certificate {number} isn't X.509")));
        }
        chain.push(Bytes::copy_from_slice(&der));
    }
    let Some(first) = chain.first() else {
        let message = "has no certificate: write it in PEM, beginning with -----BEGIN CERTIFICATE-----";
        return Err(file_problem(file, message));
    };
    let warning = validity::of(first).and_then(|validity| warning(&validity, now));
    let warnings = warning.map(|message| file_problem(file, message)).into_iter().collect();
    Ok(Material::Certificate { chain, warnings })
}

fn warning(validity: &Validity, now: &str) -> Option<String> {
    if validity.not_after.as_str() < now {
        Some(format!("is expired since {}: renew it", validity::shown(&validity.not_after)))
    } else if validity.not_before.as_str() > now {
        Some(format!("isn't valid before {}", validity::shown(&validity.not_before)))
    } else {
        None
    }
}

fn key(file: &Arc<str>, text: &[u8], mode: u32) -> Result<Material, Problem> {
    let der = PrivateKeyDer::from_pem_slice(text).map_err(|_| {
        let encrypted = String::from_utf8_lossy(text).contains("ENCRYPTED");
        file_problem(
            file,
            if encrypted {
                "is encrypted: write the private key without a password, readable only to the user that runs this"
            } else {
                "has no private key: write it in PEM, as PKCS #8, PKCS #1 or SEC 1"
            },
        )
    })?;
    let open = mode & OTHERS != 0;
    let warning = || {
        let message = format!("can be read by others (mode {:o}): chmod 600", mode & 0o777);
        file_problem(file, message)
    };
    let warnings = open.then(warning).into_iter().collect();
    Ok(Material::Key { key: PrivateKey(Bytes::copy_from_slice(der.secret_der())), warnings })
}
