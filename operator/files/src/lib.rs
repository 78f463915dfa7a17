//! A folder of YAML or JSON as a source of Backends and Routes, of certificates in PEM and of secrets: every problem has its
//! file, line and column.
//!
//! `parse` is pure; `folder` reads; `watch` follows changes; `check` judges files without running anything.

mod certificate;
mod check;
mod chunk;
mod document;
mod folder;
mod locate;
mod merge;
mod metadata;
mod names;
mod parse;
mod scan;
mod schema;
mod secret;
mod watch;

pub use certificate::{CertificateFile, CertificateFiles, certificate_of_pem};
pub use check::{Report, check};
pub use folder::{FolderError, FolderSource, Loaded};
pub use locate::{locate, place_of};
pub use parse::{Parsed, parse};
pub use watch::{Numbering, Watching, watch};
