use dataplane_snapshot::wire;

use super::header::is_token;
use super::{FilterError, redirect};
use crate::RequestHead;

/// Cross-origin resource sharing (Fetch standard, section 3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// `None`: any.
    origins: Option<Box<[OriginPattern]>>,
    /// The lines of an answer to a preflight request, but for the origin.
    preflight: Box<[u8]>,
    /// The lines of a response, but for the origin.
    actual: Box<[u8]>,
}

/// An origin in lower case: exact, or with one or more labels between both parts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OriginPattern {
    front: Box<str>,
    /// From the dot on; `None`: exact.
    back: Option<Box<str>>,
}

/// Whether a browser asks by this request if it may send another one.
pub(super) fn is_preflight<H: RequestHead>(head: &H) -> bool {
    let has = |name| head.header(name).next().is_some();
    head.method() == "OPTIONS" && has("origin") && has("access-control-request-method")
}

impl Cors {
    pub fn parse(cors: &wire::Cors) -> Result<Self, FilterError> {
        if cors.allow_origins.is_empty() {
            return Err(FilterError::NoOrigin);
        }
        let any = cors.allow_origins.iter().any(|origin| origin == "*");
        if any && cors.allow_origins.len() > 1 {
            return Err(FilterError::Origin("*".to_owned()));
        }
        let lists = [&cors.allow_origins, &cors.allow_methods, &cors.allow_headers, &cors.expose_headers];
        if cors.allow_credentials && lists.into_iter().flatten().any(|one| one == "*") {
            return Err(FilterError::Credentials);
        }
        if let Some(method) = cors.allow_methods.iter().find(|method| !is_name(method)) {
            return Err(FilterError::Method(method.clone()));
        }
        let headers = || cors.allow_headers.iter().chain(&cors.expose_headers);
        if let Some(name) = headers().find(|name| !is_name(name)) {
            return Err(FilterError::HeaderName(name.clone()));
        }
        let patterns = cors.allow_origins.iter().filter(|origin| *origin != "*");
        let patterns = patterns.map(|origin| OriginPattern::parse(origin)).collect::<Result<_, _>>()?;
        let origins = if any { None } else { Some(patterns) };
        Ok(Self { origins, preflight: preflight(cors), actual: actual(cors) })
    }

    /// Whether the target's own field of this name is left out: the route's rules count.
    pub fn drops(&self, name: &[u8]) -> bool {
        const FRONT: &[u8] = b"access-control-";
        name.get(..FRONT.len()).is_some_and(|front| front.eq_ignore_ascii_case(FRONT))
    }

    /// Appends the lines of a response to a request with this `Origin`.
    pub fn write(&self, origin: Option<&[u8]>, out: &mut Vec<u8>) {
        self.write_lines(origin, &self.actual, out);
    }

    /// Appends the lines of the answer to a preflight request. Without those a browser sends nothing more.
    pub fn write_preflight(&self, origin: Option<&[u8]>, out: &mut Vec<u8>) {
        self.write_lines(origin, &self.preflight, out);
    }

    fn write_lines(&self, origin: Option<&[u8]>, lines: &[u8], out: &mut Vec<u8>) {
        if self.origins.is_some() {
            // Also without an origin: a cache mustn't give this response to a request with one.
            out.extend_from_slice(b"vary: Origin\r\n");
        }
        let Some(origin) = origin else { return };
        let allowed = match &self.origins {
            None => &b"*"[..],
            Some(patterns) if patterns.iter().any(|pattern| pattern.matches(origin)) => origin,
            Some(_) => return,
        };
        for part in [b"access-control-allow-origin: ", allowed, b"\r\n", lines] {
            out.extend_from_slice(part);
        }
    }
}

impl OriginPattern {
    fn parse(text: &str) -> Result<Self, FilterError> {
        let error = || FilterError::Origin(text.to_owned());
        let lower = text.to_ascii_lowercase();
        let (scheme, rest) =
            lower.split_once("://").filter(|(scheme, _)| is_scheme(scheme)).ok_or_else(error)?;
        if let Some(suffix) = rest.strip_prefix("*.") {
            redirect::authority(suffix).map_err(|_| error())?;
            return Ok(Self {
                front: format!("{scheme}://").into(),
                back: Some(format!(".{suffix}").into()),
            });
        }
        redirect::authority(rest).map_err(|_| error())?;
        Ok(Self { front: lower.into(), back: None })
    }

    fn matches(&self, origin: &[u8]) -> bool {
        let Some(back) = &self.back else { return self.front.as_bytes().eq_ignore_ascii_case(origin) };
        let Some((front, rest)) = origin.split_at_checked(self.front.len()) else { return false };
        let Some((labels, end)) =
            rest.len().checked_sub(back.len()).and_then(|middle| rest.split_at_checked(middle))
        else {
            return false;
        };
        let is_label = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        front.eq_ignore_ascii_case(self.front.as_bytes())
            && end.eq_ignore_ascii_case(back.as_bytes())
            && !labels.is_empty()
            && labels.iter().all(is_label)
    }
}

/// RFC 3986, 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token)
}

fn preflight(cors: &wire::Cors) -> Box<[u8]> {
    let mut text = String::new();
    list(&mut text, "access-control-allow-methods", &cors.allow_methods);
    list(&mut text, "access-control-allow-headers", &cors.allow_headers);
    if let Some(seconds) = cors.max_age {
        text.push_str(&format!("access-control-max-age: {seconds}\r\n"));
    }
    credentials(&mut text, cors.allow_credentials);
    text.into_bytes().into()
}

fn actual(cors: &wire::Cors) -> Box<[u8]> {
    let mut text = String::new();
    list(&mut text, "access-control-expose-headers", &cors.expose_headers);
    credentials(&mut text, cors.allow_credentials);
    text.into_bytes().into()
}

fn list(text: &mut String, name: &str, values: &[String]) {
    if !values.is_empty() {
        text.push_str(&format!("{name}: {}\r\n", values.join(", ")));
    }
}

fn credentials(text: &mut String, allowed: bool) {
    if allowed {
        text.push_str("access-control-allow-credentials: true\r\n");
    }
}
