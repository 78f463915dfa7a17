use bytes::Bytes;
use dataplane_snapshot::Key;

use crate::plan::model::ValidMatch;

/// The sortable key of a match: what its host and path leave open. See docs/routing.md for the order.
///
/// Bytes: 0 with a method and 1 without; 255 less the number of header, query and cookie conditions; namespace, 0; name, 0;
/// the index of the match, big-endian. A validated key holds no 0, so no key is another one's beginning.
pub(super) fn of(one: &ValidMatch<'_>, key: &Key) -> Bytes {
    let conditions = one.headers.len() + one.query.len() + one.cookies.len();
    let fewer = u8::MAX.saturating_sub(u8::try_from(conditions).unwrap_or(u8::MAX));
    let mut bytes = Vec::with_capacity(key.namespace().len() + key.name().len() + 8);
    bytes.extend([u8::from(one.methods.is_empty()), fewer]);
    for part in [key.namespace(), key.name()] {
        bytes.extend(part.bytes());
        bytes.push(0);
    }
    bytes.extend(u32::try_from(one.index).unwrap_or(u32::MAX).to_be_bytes());
    bytes.into()
}
