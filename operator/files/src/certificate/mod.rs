//! Certificates and private keys in the folders named `certificates`: `NAME.crt`, and `NAME.key` beside it.

mod pair;
mod pem;
mod secret;
mod single;
mod validity;

use std::path::Path;

use bytes::Bytes;
use operator_core::{PrivateKey, Problem};

pub(crate) use pair::{File, Files, Pairs, stem};
pub(crate) use pem::read;
pub use secret::certificate_of_pem;
pub use single::{CertificateFile, CertificateFiles};

/// The folder in which they are read.
const FOLDER: &str = "certificates";

/// Larger files are refused, in bytes: hundreds of authorities fit.
pub(crate) const MAX_BYTES: u64 = 512 * 1024;

/// What one file is for, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Certificate,
    Key,
}

/// What one file gives.
#[derive(Clone, Debug)]
pub(crate) enum Material {
    Certificate {
        /// DER, the certificate itself first; at least one.
        chain: Vec<Bytes>,
        warnings: Vec<Problem>,
    },
    Key {
        key: PrivateKey,
        warnings: Vec<Problem>,
    },
}

impl Role {
    /// `None` for a file that is neither.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let folder = path.parent().and_then(Path::file_name);
        let extension = path.extension()?;
        match folder.is_some_and(|folder| folder == FOLDER) {
            true if extension == "crt" => Some(Self::Certificate),
            true if extension == "key" => Some(Self::Key),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
