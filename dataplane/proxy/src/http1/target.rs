use super::characters;
use super::fields::Span;
use super::head::HeadError;
use super::host;

/// A request target (RFC 9112 section 3.2) taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// `None`: `/`, or `*` for the asterisk form.
    pub path: Option<Span>,
    /// Without the `?`.
    pub query: Option<Span>,
    /// Host and port of the absolute form.
    pub authority: Option<Span>,
    /// `*`, for OPTIONS only.
    pub asterisk: bool,
}

/// Reads the target of a request with `method`; it begins at `at` of the message.
pub(super) fn parse(method: &[u8], target: &[u8], at: usize) -> Result<Target, HeadError> {
    if method == b"CONNECT" {
        return Err(HeadError::Connect);
    }
    if !characters::is_target(target) {
        return Err(HeadError::Target);
    }
    match target.first() {
        Some(b'/') => path_and_query(target, at, None),
        Some(b'*') if target.len() == 1 && method == b"OPTIONS" => {
            Ok(Target { path: None, query: None, authority: None, asterisk: true })
        }
        _ => absolute(method, target, at),
    }
}

/// `http://authority[/path][?query]`. Another scheme isn't what this listener speaks.
fn absolute(method: &[u8], target: &[u8], at: usize) -> Result<Target, HeadError> {
    const SCHEME: &[u8] = b"http://";
    let (scheme, rest) = target.split_at_checked(SCHEME.len()).ok_or(HeadError::Target)?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(HeadError::Target);
    }
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).ok_or(HeadError::Target)?;
    host::parse(authority).ok_or(HeadError::Host)?;
    let start = at + SCHEME.len();
    let authority = Span::new(start..start + end);
    if path.is_empty() {
        // RFC 9112 section 3.2.4: OPTIONS on an authority without a path is the asterisk form.
        return Ok(Target { path: None, query: None, authority, asterisk: method == b"OPTIONS" });
    }
    path_and_query(path, start + end, authority)
}

fn path_and_query(text: &[u8], at: usize, authority: Option<Span>) -> Result<Target, HeadError> {
    let end = memchr::memchr(b'?', text).unwrap_or(text.len());
    let path = if end == 0 { None } else { Span::new(at..at + end) };
    let query = if end == text.len() { None } else { Span::new(at + end + 1..at + text.len()) };
    Ok(Target { path, query, authority, asterisk: false })
}
