use std::collections::BTreeSet;

use dataplane_snapshot::wire;

use super::FilterError;

/// Which heads are edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Request,
    Response,
}

/// Changes of a head's fields, as the bytes that are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Names in lower case, of fields that are replaced or removed.
    dropped: Box<[Box<str>]>,
    /// Whole lines.
    lines: Box<[u8]>,
    missing: Box<[Missing]>,
}

/// A line that is written if there is no field of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Missing {
    /// In lower case.
    name: Box<str>,
    line: Box<[u8]>,
}

/// For one hop, or telling where a message ends: only the gateway can know them (RFC 9110, 7.6.1; RFC 9112, 6).
const OWNED: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The name in lower case, if the fields of this name may be changed.
pub fn check_name(direction: Direction, name: &str) -> Result<String, FilterError> {
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(FilterError::HeaderName(name.to_owned()));
    }
    let lower = name.to_ascii_lowercase();
    let of_request = || lower == "host" || lower == "forwarded" || lower.starts_with("x-forwarded-");
    if OWNED.contains(&&*lower) || direction == Direction::Request && of_request() {
        return Err(FilterError::HeaderOwned(name.to_owned()));
    }
    Ok(lower)
}

/// A value of the field `name` that can't end its line or be read in two ways (RFC 9110, 5.5).
pub fn check_value(name: &str, value: &str) -> Result<(), FilterError> {
    let visible = value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    if visible && value.trim_ascii() == value {
        Ok(())
    } else {
        Err(FilterError::HeaderValue(name.to_owned()))
    }
}

impl HeaderEdits {
    pub fn parse(direction: Direction, edits: &wire::HeaderEdits) -> Result<Self, FilterError> {
        let mut names = BTreeSet::new();
        let mut once = |name: &str| {
            let lower = check_name(direction, name)?;
            if names.insert(lower.clone()) { Ok(lower) } else { Err(FilterError::HeaderTwice(lower)) }
        };
        let (mut dropped, mut lines, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        for name in &edits.remove {
            dropped.push(once(name)?.into());
        }
        for field in &edits.set {
            dropped.push(once(&field.name)?.into());
            lines.extend(line(field)?);
        }
        for field in &edits.set_if_missing {
            missing.push(Missing { name: once(&field.name)?.into(), line: line(field)?.into() });
        }
        let mut added = BTreeSet::new();
        for field in &edits.add {
            // Several values of one header may be added.
            let lower = check_name(direction, &field.name)?;
            if !added.contains(&lower) {
                added.insert(once(&field.name)?);
            }
            lines.extend(line(field)?);
        }
        Ok(Self { dropped: dropped.into(), lines: lines.into(), missing: missing.into() })
    }

    /// Whether a field of this name is left out.
    pub fn drops(&self, name: &[u8]) -> bool {
        self.dropped.iter().any(|dropped| dropped.as_bytes().eq_ignore_ascii_case(name))
    }

    /// Appends the lines that are new. `has` says whether a field of this name (lower-case) is in the head otherwise.
    pub fn write(&self, out: &mut Vec<u8>, mut has: impl FnMut(&str) -> bool) {
        out.extend_from_slice(&self.lines);
        for Missing { name, line } in &self.missing {
            if !has(name) {
                out.extend_from_slice(line);
            }
        }
    }
}

fn line(field: &wire::HeaderField) -> Result<Vec<u8>, FilterError> {
    check_value(&field.name, &field.value)?;
    Ok([field.name.as_bytes(), b": ", field.value.as_bytes(), b"\r\n"].concat())
}

/// RFC 9110, 5.6.2.
pub(super) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}
