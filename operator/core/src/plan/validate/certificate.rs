use std::collections::HashSet;

use crds::bounds::MAX_HOSTNAME;

use super::bounds;
use crate::plan::findings::{Field, Findings};

/// As in the custom resource.
const MAX_NAMES: usize = 16;

/// Names of certificates: those of files, or of Secrets in a cluster.
pub(super) fn names(names: &[String], at: &Field<'_>, findings: &mut Findings) {
    check(names, is_name, at, findings);
}

/// The same, or with a namespace in front: `namespace/name`.
pub(in crate::plan) fn of_listener(names: &[String], at: &Field<'_>, findings: &mut Findings) {
    let is_good = |text: &str| match text.split_once('/') {
        Some((namespace, name)) => is_name(namespace) && is_name(name),
        None => is_name(text),
    };
    check(names, is_good, at, findings);
}

fn check(names: &[String], is_name: impl Fn(&str) -> bool, at: &Field<'_>, findings: &mut Findings) {
    if names.len() > MAX_NAMES {
        findings.invalid(at, format!("has {} entries: write at most {MAX_NAMES}", names.len()));
    }
    let mut seen = HashSet::new();
    for (index, name) in names.iter().enumerate() {
        if !is_name(name) {
            let message = format!("{name:?} is no name: write lower-case letters, digits, '-' and '.'");
            findings.invalid(&at.index(index), message);
        } else if !seen.insert(name) {
            findings.invalid(&at.index(index), format!("{name} is there twice: leave it out here"));
        }
    }
}

fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let is_end =
        |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    bounds::fits(text.len(), MAX_HOSTNAME)
        && text.bytes().all(inner)
        && is_end(text.bytes().next())
        && is_end(text.bytes().next_back())
}
