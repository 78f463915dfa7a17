//! Valid model -> wire objects.

mod backend;
mod held;
mod precedence;
mod route;

use std::collections::BTreeMap;

use dataplane_snapshot::{Key, Object, wire};

pub(super) use backend::{backend, endpoints};
pub(super) use held::held;
pub(super) use route::{matches_only, route};

pub(super) fn object(key: Key, labels: &BTreeMap<String, String>, payload: wire::Payload) -> Object {
    Object::encode(key, &wire::Content { labels: labels.clone(), payload: Some(payload) })
}

/// Workers refuse a whole state for one object that is longer.
pub(super) fn fits(object: &Object) -> bool {
    object.bytes().len() <= Object::MAX_BYTES
}
