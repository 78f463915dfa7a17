use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use dataplane_snapshot::wire::PathKind;
use smol_str::SmolStr;

use crate::path::{self, BadPath};
use crate::{FullRegex, Glob, RegexError};

/// A path pattern, read segment by segment. Empty segments of a request are skipped.
///
/// | segment | matches | name |
/// |---|---|---|
/// | `users` | itself | |
/// | `$id<[0-9]+>` | a segment that the regular expression matches as a whole | `id` |
/// | `:id` | any one segment | `id` |
/// | `v*`, `*.js` | one segment, `*` being any text | |
/// | `*` | any one segment | |
///
/// A prefix pattern matches by segment: `/api` matches `/api` and `/api/x`, never `/apix`; a slash at its end means
/// nothing. An exact pattern matches the whole path, and a slash at the end counts. Text is compared in the spelling of
/// [`path::normalize`]. What follows a last `*` is matched by the prefix kind, so there is no `**`.
///
/// The order is that of specificity, the most specific first, segment by segment: literal, regular expression (by
/// source), `:name`, text with `*` (more literal text first), `*`, end; at the end exact before prefix. Names don't count.
#[derive(Clone, Debug)]
pub struct PathPattern {
    source: Box<str>,
    segments: Box<[Segment]>,
    end: PatternEnd,
}

#[derive(Clone, Debug)]
pub(crate) struct Segment {
    name: Option<Box<str>>,
    pub(crate) matcher: Matcher,
}

/// What one segment must be. The order is that of specificity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Matcher {
    Literal(SmolStr),
    Regex(Arc<FullRegex>),
    Parameter,
    Glob(Glob),
    Any,
}

/// What may follow the last segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PatternEnd {
    Exact,
    ExactSlash,
    Prefix,
}

/// Why a path pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("the path {0:?} must begin with a slash")]
    NotAbsolute(String),
    #[error("the path has {0} bytes; at most {max} are allowed", max = PathPattern::MAX_BYTES)]
    TooLong(usize),
    #[error("the path {0:?} has more than {max} segments", max = PathPattern::MAX_SEGMENTS)]
    TooDeep(String),
    #[error("the path {0:?} has an empty segment: write one slash instead of two")]
    EmptySegment(String),
    #[error("the segment {0:?} has no name: write :name, or $name<regex>, in letters, digits, `-` and `_`")]
    Name(String),
    #[error("the name {name:?} comes twice in the path {path:?}")]
    RepeatedName { name: String, path: String },
    #[error("the segment {0:?} lacks the closing >: write $name<regex>")]
    Unclosed(String),
    #[error(
        "`**` in {0:?} is not supported: `*` is one segment, and a path of type Prefix covers what follows"
    )]
    DoubleStar(String),
    #[error("the segment {segment:?}: {source}")]
    Regex { segment: String, source: RegexError },
    #[error("the segment {segment:?}: {source}")]
    Path { segment: String, source: BadPath },
}

impl PathPattern {
    /// The longest accepted pattern, in bytes.
    pub const MAX_BYTES: usize = 2048;
    /// The most segments. It bounds how deep a lookup goes.
    pub const MAX_SEGMENTS: usize = 64;

    pub fn parse(kind: PathKind, source: &str) -> Result<Self, PatternError> {
        Self::parse_with(kind, source, &mut |regex| FullRegex::parse(regex).map(Arc::new))
    }

    /// As [`Self::parse`]; `regex` gives the compiled form of a source, so that equal ones can be shared.
    pub(crate) fn parse_with(
        kind: PathKind,
        source: &str,
        regex: &mut dyn FnMut(&str) -> Result<Arc<FullRegex>, RegexError>,
    ) -> Result<Self, PatternError> {
        if source.len() > Self::MAX_BYTES {
            return Err(PatternError::TooLong(source.len()));
        }
        let Some(mut rest) = source.strip_prefix('/') else {
            return Err(PatternError::NotAbsolute(source.to_owned()));
        };
        let mut segments: Vec<Segment> = Vec::new();
        let mut slash = false;
        while !rest.is_empty() {
            let (text, after) = cut_segment(rest);
            segments.push(Segment::parse(text, source, regex)?);
            slash = after.is_some();
            rest = after.unwrap_or_default();
        }
        if segments.len() > Self::MAX_SEGMENTS {
            return Err(PatternError::TooDeep(source.to_owned()));
        }
        check_names(&segments, source)?;
        let end = match kind {
            PathKind::Prefix => PatternEnd::Prefix,
            PathKind::Exact if slash => PatternEnd::ExactSlash,
            PathKind::Exact => PatternEnd::Exact,
        };
        Ok(Self { source: source.into(), segments: segments.into(), end })
    }

    /// The prefix `/`, which every path meets.
    pub fn any() -> Self {
        Self { source: "/".into(), segments: Box::default(), end: PatternEnd::Prefix }
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    pub const fn kind(&self) -> PathKind {
        match self.end {
            PatternEnd::Prefix => PathKind::Prefix,
            PatternEnd::Exact | PatternEnd::ExactSlash => PathKind::Exact,
        }
    }

    /// The names of the parameters, from left to right.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| segment.name.as_deref())
    }

    /// Whether a normalized path meets this pattern. The router doesn't call it for each pattern; it walks a tree.
    pub fn matches(&self, path: &str) -> bool {
        let mut given = path::segments(path);
        let all = self
            .segments
            .iter()
            .all(|segment| given.next().is_some_and(|text| segment.matcher.matches(text)));
        all && match self.end {
            PatternEnd::Prefix => true,
            PatternEnd::Exact => given.next().is_none() && !ends_with_slash(path),
            PatternEnd::ExactSlash => given.next().is_none() && ends_with_slash(path),
        }
    }

    /// The segment of `path`, which meets this pattern, at the parameter `name`.
    pub fn parameter<'p>(&self, path: &'p str, name: &str) -> Option<&'p str> {
        let index = self.segments.iter().position(|segment| segment.name.as_deref() == Some(name))?;
        path::segments(path).nth(index)
    }

    /// What follows the matched segments in `path`, which meets this pattern: empty, or from a slash on.
    pub fn rest<'p>(&self, path: &'p str) -> &'p str {
        let mut end = 0;
        for _ in &self.segments {
            let Some(Range { end: next, .. }) = path::next_segment(path.as_bytes(), end) else { return "" };
            end = next;
        }
        path.get(end..).unwrap_or_default()
    }

    pub(crate) const fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(crate) const fn end(&self) -> PatternEnd {
        self.end
    }
}

/// Whether a slash follows the last segment. The path `/` has no segment that one could follow.
pub(crate) fn ends_with_slash(path: &str) -> bool {
    path.ends_with('/') && path.bytes().any(|byte| byte != b'/')
}

/// The first segment and what follows its slash, if there is one. A slash within `$name<…>` doesn't end the segment: it
/// ends at the first `>` that a slash or the end follows.
fn cut_segment(text: &str) -> (&str, Option<&str>) {
    let from = match text.split_once('<') {
        Some((name, regex)) if name.starts_with('$') && !name.contains('/') => {
            if regex.ends_with('>') && !regex.contains(">/") {
                return (text, None);
            }
            regex.find(">/").map_or(0, |end| name.len() + 1 + end)
        }
        _ => 0,
    };
    let slash = text.get(from..).and_then(|tail| tail.find('/')).map(|slash| from + slash);
    match slash.and_then(|slash| Some((text.get(..slash)?, text.get(slash + 1..)?))) {
        Some((segment, after)) => (segment, Some(after)),
        None => (text, None),
    }
}

fn check_names(segments: &[Segment], path: &str) -> Result<(), PatternError> {
    let mut names: Vec<&str> = segments.iter().filter_map(|segment| segment.name.as_deref()).collect();
    names.sort_unstable();
    match names.windows(2).find_map(|pair| pair.first().filter(|first| Some(*first) == pair.last())) {
        Some(name) => Err(PatternError::RepeatedName { name: (*name).to_owned(), path: path.to_owned() }),
        None => Ok(()),
    }
}

impl Segment {
    fn parse(
        text: &str,
        path: &str,
        regex: &mut dyn FnMut(&str) -> Result<Arc<FullRegex>, RegexError>,
    ) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::EmptySegment(path.to_owned()));
        }
        if let Some(name) = text.strip_prefix(':') {
            return Ok(Self { name: Some(parse_name(name, text)?), matcher: Matcher::Parameter });
        }
        if let Some((name, rest)) = text.strip_prefix('$').and_then(|rest| rest.split_once('<')) {
            let name = Some(parse_name(name, text)?);
            let source = rest.strip_suffix('>').ok_or_else(|| PatternError::Unclosed(text.to_owned()))?;
            let compiled =
                regex(source).map_err(|source| PatternError::Regex { segment: text.to_owned(), source })?;
            return Ok(Self { name, matcher: Matcher::Regex(compiled) });
        }
        let matcher = match text {
            "*" => Matcher::Any,
            _ if text.contains("**") => return Err(PatternError::DoubleStar(path.to_owned())),
            _ => {
                let text = normal_segment(text)?;
                if text.contains('*') {
                    Matcher::Glob(Glob::new(text))
                } else {
                    Matcher::Literal(text.into())
                }
            }
        };
        Ok(Self { name: None, matcher })
    }
}

fn normal_segment(text: &str) -> Result<String, PatternError> {
    let path = format!("/{text}");
    let normal =
        path::normalize(&path).map_err(|source| PatternError::Path { segment: text.to_owned(), source })?;
    Ok(normal.trim_start_matches('/').to_owned())
}

fn parse_name(name: &str, segment: &str) -> Result<Box<str>, PatternError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || !name.bytes().all(allowed) {
        return Err(PatternError::Name(segment.to_owned()));
    }
    Ok(name.into())
}

impl Matcher {
    /// Whether a segment, which isn't empty, is meant.
    pub(crate) fn matches(&self, segment: &str) -> bool {
        match self {
            Self::Literal(text) => text == segment,
            Self::Regex(regex) => regex.matches(segment.as_bytes()),
            Self::Parameter | Self::Any => true,
            Self::Glob(glob) => glob.matches(segment.as_bytes()),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl Ord for PathPattern {
    fn cmp(&self, other: &Self) -> Ordering {
        let (ours, theirs) = (&self.segments, &other.segments);
        let by_segment =
            ours.iter().zip(theirs).map(|(a, b)| a.matcher.cmp(&b.matcher)).find(|order| order.is_ne());
        // The longer one goes first: its next segment is more specific than an end.
        by_segment.unwrap_or_else(|| theirs.len().cmp(&ours.len()).then(self.end.cmp(&other.end)))
    }
}

impl PartialOrd for PathPattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for PathPattern {}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(source: &str) -> PathPattern {
        PathPattern::parse(PathKind::Prefix, source).unwrap()
    }

    fn exact(source: &str) -> PathPattern {
        PathPattern::parse(PathKind::Exact, source).unwrap()
    }

    #[test]
    fn prefix_goes_by_segment() {
        let api = prefix("/api");
        assert!(["/api", "/api/", "/api/x", "//api//x"].iter().all(|path| api.matches(path)));
        assert!(["/apix", "/", "/x/api"].iter().all(|path| !api.matches(path)));
        assert!(prefix("/api/").matches("/api"));
        assert!(prefix("/").matches("/"));
        assert!(PathPattern::any().matches("/a"));
    }

    #[test]
    fn exact_tells_the_last_slash() {
        assert!(exact("/a").matches("/a") && exact("/a").matches("//a"));
        assert!(!exact("/a").matches("/a/") && !exact("/a").matches("/a/b"));
        assert!(exact("/a/").matches("/a/") && !exact("/a/").matches("/a"));
        assert!(exact("/").matches("/") && !exact("/").matches("/a"));
    }

    #[test]
    fn segments_match_as_written() {
        let bills = prefix("/api/users/$id<[0-9]+>/bills");
        assert!(bills.matches("/api/users/42/bills/7"));
        assert!(!bills.matches("/api/users/4x/bills") && !bills.matches("/api/users/42"));
        assert_eq!(bills.parameter("/api//users/42/bills", "id"), Some("42"));
        assert_eq!(bills.parameter("/api/users/42/bills", "x"), None);
        assert_eq!(bills.rest("/api/users/42/bills/7"), "/7");
        assert_eq!(bills.rest("/api/users/42/bills"), "");
        assert!(prefix("/:a/*/v*").matches("/1/2/v3"));
        assert!(!prefix("/api/*").matches("/api/") && prefix("/api/*").matches("/api/x/y"));
    }

    #[test]
    fn a_slash_within_a_regex_is_part_of_it() {
        let pattern = exact("/a/$x<[^/]+>/$y<[^/]{2}>");
        assert_eq!(pattern.names().collect::<Vec<_>>(), ["x", "y"]);
        assert!(pattern.matches("/a/b/cc") && !pattern.matches("/a/b/c"));
    }

    #[test]
    fn a_dollar_without_a_regex_is_text() {
        assert!(exact("/odata/$metadata").matches("/odata/$metadata"));
    }

    #[test]
    fn text_is_compared_in_the_normal_spelling() {
        assert!(exact("/caf\u{e9}").matches("/caf%C3%A9"));
        assert!(exact("/%7ea%2fb").matches("/~a%2Fb"));
    }

    #[test]
    fn the_most_specific_goes_first() {
        let ordered = [
            exact("/a/b"),
            exact("/a/b/"),
            prefix("/a/b"),
            prefix("/a/$x<[0-9]>"),
            prefix("/a/:x"),
            prefix("/a/bc*"),
            prefix("/a/b*"),
            prefix("/a/*"),
            exact("/a"),
            prefix("/a"),
            prefix("/:x/b"),
            prefix("/"),
        ];
        for pair in ordered.windows(2) {
            assert!(pair[0] < pair[1], "{} {}", pair[0], pair[1]);
        }
        assert_eq!(prefix("/:a"), prefix("/:b"), "names don't count");
    }

    #[test]
    fn refuses_with_the_fitting_sentence() {
        let error = |source: &str| PathPattern::parse(PathKind::Prefix, source).unwrap_err();
        assert!(matches!(error("api"), PatternError::NotAbsolute(_)));
        assert!(matches!(error(""), PatternError::NotAbsolute(_)));
        assert!(matches!(error("/a//b"), PatternError::EmptySegment(_)));
        assert!(matches!(error("//"), PatternError::EmptySegment(_)));
        assert!(matches!(error("/:"), PatternError::Name(_)));
        assert!(matches!(error("/$<a>"), PatternError::Name(_)));
        assert!(matches!(error("/$a<b"), PatternError::Unclosed(_)));
        assert!(matches!(error("/$a<b/c"), PatternError::Unclosed(_)));
        assert!(matches!(error("/$a<[>"), PatternError::Regex { .. }));
        assert!(matches!(error("/:a/:a"), PatternError::RepeatedName { .. }));
        assert!(matches!(error("/a/**"), PatternError::DoubleStar(_)));
        assert!(matches!(error("/a/../b"), PatternError::Path { .. }));
        assert!(matches!(error("/a?b"), PatternError::Path { .. }));
        assert!(matches!(error(&"/a".repeat(65)), PatternError::TooDeep(_)));
        assert!(matches!(error(&format!("/{}", "a".repeat(2048))), PatternError::TooLong(_)));
    }
}
