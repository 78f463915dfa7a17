//! Which bytes may stand where. One table, a bit per class.

const TOKEN: u8 = 1;
const FIELD_VALUE: u8 = 2;
const TARGET: u8 = 4;
const HOST: u8 = 8;

const TABLE: [u8; 256] = table();

const fn table() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::indexing_slicing,
            reason = "byte < 256, at compile time"
        )]
        {
            table[byte] = classes(byte as u8);
        }
        byte += 1;
    }
    table
}

const fn classes(byte: u8) -> u8 {
    let mut classes = 0;
    let alphanumeric = byte.is_ascii_alphanumeric();
    // RFC 9110 section 5.6.2.
    if alphanumeric
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
    {
        classes |= TOKEN;
    }
    // RFC 9110 section 5.5: visible characters, obs-text, and blanks between them.
    if matches!(byte, b'\t' | b' '..=b'~' | 0x80..=0xff) {
        classes |= FIELD_VALUE;
    }
    // RFC 3986 allows less; these few more are sent by browsers. A backslash is a slash to some servers, so it is out.
    if matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'#' | b'<' | b'>' | b'\\' | b'`') {
        classes |= TARGET;
    }
    // Registered names as they occur in practice: no sub-delims and no percent-encoding.
    if alphanumeric || matches!(byte, b'-' | b'.' | b'_') {
        classes |= HOST;
    }
    classes
}

#[inline]
fn all(bytes: &[u8], class: u8) -> bool {
    bytes.iter().all(|byte| TABLE.get(usize::from(*byte)).is_some_and(|classes| classes & class != 0))
}

/// A token of RFC 9110 section 5.6.2, not empty.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && all(bytes, TOKEN)
}

pub(super) fn is_field_value(bytes: &[u8]) -> bool {
    all(bytes, FIELD_VALUE)
}

pub(crate) fn is_target(bytes: &[u8]) -> bool {
    all(bytes, TARGET)
}

/// Not empty. Labels aren't looked at.
pub(super) fn is_host_name(bytes: &[u8]) -> bool {
    !bytes.is_empty() && all(bytes, HOST)
}
