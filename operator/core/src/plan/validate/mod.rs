//! Spec -> valid model, with everything that is wrong.

mod backend;
mod balancing;
mod bounds;
mod certificate;
mod client;
mod filters;
mod health;
mod matches;
mod mirrors;
mod predicate;
mod proxy;
mod rate_limits;
mod route;
mod syntax;
mod target;

use dataplane_snapshot::Key;

use super::findings::{Field, Findings};

pub(super) use backend::backend;
pub(super) use bounds::MAX_PAIRS;
pub(super) use certificate::of_listener as listener_certificates;
pub(super) use route::route;
pub(super) use syntax::credentials;

/// The longest namespace and name in bytes, as for Kubernetes names (RFC 1123 subdomain).
const MAX_NAME: usize = 253;

/// Checks that a key can be written as `kind/namespace/name` and read again, and that it meets no key of an inline backend.
pub(super) fn key(key: &Key, findings: &mut Findings) {
    for (what, text) in [("namespace", key.namespace()), ("name", key.name())] {
        let at = Field::Root("metadata");
        if text.is_empty() || text.len() > MAX_NAME {
            findings.invalid(&at.name(what), format!("write 1 to {MAX_NAME} characters"));
        } else if text.contains(['/', '~']) || text.contains(char::is_control) {
            findings.invalid(&at.name(what), "write it without '/', '~' and control characters");
        }
    }
}
