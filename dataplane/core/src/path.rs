use std::borrow::Cow;
use std::ops::Range;

/// Why a request path is refused; the proxy answers 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    #[error("the path doesn't begin with a slash")]
    NotAbsolute,
    /// Proxies and servers resolve these at different moments, which is how access rules are walked around.
    #[error("the path has a segment of one or two dots")]
    DotSegment,
    /// The end of a path for targets that keep it in C strings.
    #[error("the path has a zero byte, %00")]
    Nul,
    #[error("the path has a % that isn't followed by two hexadecimal digits")]
    Percent,
    #[error("the path has the character {0:?}, which must be percent-encoded")]
    Character(char),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Dot,
    /// Needs another spelling: a percent-encoding or a byte beyond ASCII.
    Respelled,
    Refused,
}

/// One spelling for all equivalent paths (RFC 3986, 6.2.2): percent-encoded unreserved characters are decoded, the
/// hexadecimal digits of the others are upper-case, and bytes beyond ASCII are percent-encoded. Slashes stay as they are,
/// also repeated ones. Routes match by this spelling and it is what goes upstream. Borrowed if nothing changes.
pub fn normalize(path: &str) -> Result<Cow<'_, str>, BadPath> {
    if !path.starts_with('/') {
        return Err(BadPath::NotAbsolute);
    }
    let (mut respelled, mut dotted, mut previous) = (false, false, b'/');
    for byte in path.bytes() {
        match class(byte) {
            Class::Plain => {}
            Class::Dot => dotted |= previous == b'/',
            Class::Respelled => respelled = true,
            Class::Refused => return Err(BadPath::Character(char::from(byte))),
        }
        previous = byte;
    }
    let path = if respelled { Cow::Owned(respell(path)?) } else { Cow::Borrowed(path) };
    if (respelled || dotted) && has_dot_segment(&path) {
        return Err(BadPath::DotSegment);
    }
    Ok(path)
}

const fn class(byte: u8) -> Class {
    match byte {
        b'.' => Class::Dot,
        b'%' | 0x80.. => Class::Respelled,
        // A backslash is a slash to some servers; `?` and `#` end a path.
        0..=0x20 | 0x7f | b'\\' | b'?' | b'#' => Class::Refused,
        _ => Class::Plain,
    }
}

fn respell(path: &str) -> Result<String, BadPath> {
    let mut result = String::with_capacity(path.len() + 16);
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || bytes.next().and_then(hex_value).ok_or(BadPath::Percent);
            let decoded = digit()? << 4 | digit()?;
            if decoded == 0 {
                return Err(BadPath::Nul);
            }
            if is_unreserved(decoded) {
                result.push(char::from(decoded));
            } else {
                push_encoded(&mut result, decoded);
            }
        } else if byte.is_ascii() {
            result.push(char::from(byte));
        } else {
            push_encoded(&mut result, byte);
        }
    }
    Ok(result)
}

fn push_encoded(text: &mut String, byte: u8) {
    text.extend(encoded(byte).map(char::from));
}

/// The three characters of a percent-encoded byte.
pub(crate) const fn encoded(byte: u8) -> [u8; 3] {
    const fn digit(value: u8) -> u8 {
        if value < 10 { b'0' + value } else { b'A' + value - 10 }
    }
    [b'%', digit(byte >> 4), digit(byte & 15)]
}

pub(crate) const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// RFC 3986, 2.3.
pub(crate) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Whether a normalized path has a segment `.` or `..`, also for a target that decodes slashes and backslashes first.
pub(crate) fn has_dot_segment(path: &str) -> bool {
    path.split('/')
        .flat_map(|segment| segment.split("%2F"))
        .flat_map(|segment| segment.split("%5C"))
        .any(|segment| matches!(segment, "." | ".."))
}

/// The bounds of the next segment that isn't empty, at or after `from`.
#[inline]
pub(crate) fn next_segment(path: &[u8], from: usize) -> Option<Range<usize>> {
    let rest = path.get(from..)?;
    let start = from + rest.iter().position(|byte| *byte != b'/')?;
    let segment = path.get(start..)?;
    let length = segment.iter().position(|byte| *byte == b'/').unwrap_or(segment.len());
    Some(start..start + length)
}

/// The segments of a path; empty ones are skipped, so `//a/` has the one segment `a`.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borrows_what_is_normal() {
        for path in ["/", "/a/b", "/a//b/", "/${x}/a;b=c/~d", "/.well-known/x", "/a..b/...", "/a%2FB%20"] {
            let normal = normalize(path).unwrap();
            assert_eq!(normal, path);
            assert_eq!(matches!(normal, Cow::Borrowed(_)), !path.contains('%'));
        }
    }

    #[test]
    fn gives_equivalent_paths_one_spelling() {
        assert_eq!(normalize("/%41%7eb%2f%2F").unwrap(), "/A~b%2F%2F");
        assert_eq!(normalize("/café").unwrap(), "/caf%C3%A9");
        assert_eq!(normalize("/%252e").unwrap(), "/%252e", "decoded once only");
    }

    #[test]
    fn refuses_dot_segments_in_every_spelling() {
        for path in [
            "/.",
            "/..",
            "/a/../b",
            "/a/./",
            "/%2e%2E/x",
            "/a/.%2e",
            "/%2e",
            "/a/..%2fb",
            "/a%5c..%2Fb",
            "/a/%5C..",
        ] {
            assert_eq!(normalize(path), Err(BadPath::DotSegment), "{path}");
        }
    }

    #[test]
    fn refuses_what_no_path_has() {
        assert_eq!(normalize(""), Err(BadPath::NotAbsolute));
        assert_eq!(normalize("*"), Err(BadPath::NotAbsolute));
        assert_eq!(normalize("/a%00"), Err(BadPath::Nul));
        for path in ["/%", "/%4", "/%zz", "/%%41"] {
            assert_eq!(normalize(path), Err(BadPath::Percent), "{path}");
        }
        for path in ["/a b", "/a\\b", "/a\r", "/\0", "/a#b", "/a?b", "/\x7f"] {
            assert!(matches!(normalize(path), Err(BadPath::Character(_))), "{path:?}");
        }
    }

    #[test]
    fn skips_empty_segments() {
        assert_eq!(segments("//a///b/").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(next_segment(b"//ab//c", 0), Some(2..4));
        assert_eq!(next_segment(b"//ab//c", 4), Some(6..7));
        assert_eq!(next_segment(b"/ab/", 3), None);
    }
}
