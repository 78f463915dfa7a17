use std::sync::Arc;

use dataplane_snapshot::wire::{self, ConditionKind};
use smallvec::SmallVec;

use crate::{FullRegex, Glob, RegexError, RequestHead, cookie, query};

/// A part of the request that a condition can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Header,
    Query,
    Cookie,
}

/// A condition on a header, a query parameter or a cookie. If the request has several values of the name, one that meets
/// the condition is enough. Query names and values are compared percent-decoded, with `+` as a space; header values and
/// cookies as they are. Names of query parameters and cookies are case-sensitive.
#[derive(Clone, Debug)]
pub struct Condition {
    place: Place,
    name: Box<str>,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Exact(Box<str>),
    Regex(Arc<FullRegex>),
    Wildcard(Glob),
    Present,
    Absent,
}

/// Why a condition is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    #[error("a condition has no name")]
    NoName,
    #[error("{0:?} is not a header name")]
    HeaderName(String),
    #[error("{0:?} is not a cookie name")]
    CookieName(String),
    #[error("{0:?} is not a method: write it in upper-case letters, as in GET")]
    Method(String),
    #[error("{0} is no kind of condition that this version knows")]
    Kind(i32),
    #[error("the condition on {name:?}: {source}")]
    Regex { name: String, source: RegexError },
}

impl Condition {
    /// `value` is unused for the kinds `Present` and `Absent`.
    pub fn parse(place: Place, kind: ConditionKind, name: &str, value: &str) -> Result<Self, ConditionError> {
        Self::parse_with(place, kind, name, value, &mut |regex| FullRegex::parse(regex).map(Arc::new))
    }

    pub(crate) fn parse_with(
        place: Place,
        kind: ConditionKind,
        name: &str,
        value: &str,
        regex: &mut dyn FnMut(&str) -> Result<Arc<FullRegex>, RegexError>,
    ) -> Result<Self, ConditionError> {
        let name = parse_name(place, name)?;
        let test = match kind {
            ConditionKind::Exact => Test::Exact(value.into()),
            ConditionKind::Wildcard => Test::Wildcard(Glob::new(value)),
            ConditionKind::Present => Test::Present,
            ConditionKind::Absent => Test::Absent,
            ConditionKind::Regex => Test::Regex(
                regex(value).map_err(|source| ConditionError::Regex { name: name.to_string(), source })?,
            ),
        };
        Ok(Self { place, name, test })
    }

    pub fn holds<H: RequestHead>(&self, head: &H) -> bool {
        match self.place {
            Place::Header => self.test.any(head.header(&self.name)),
            Place::Cookie => self
                .test
                .any(head.header("cookie").flat_map(|field| cookie::values(field, self.name.as_bytes()))),
            Place::Query => self.holds_in_query(head.query().unwrap_or_default()),
        }
    }

    fn holds_in_query(&self, text: &str) -> bool {
        let mut values = query::values(text, &self.name);
        match &self.test {
            Test::Exact(expected) => values.any(|value| query::equals(value, expected)),
            Test::Present => values.next().is_some(),
            Test::Absent => values.next().is_none(),
            Test::Regex(_) | Test::Wildcard(_) => values.any(|value| {
                if query::is_plain(value) {
                    return self.test.meets(value.as_bytes());
                }
                let decoded: SmallVec<[u8; 256]> = query::decode(value).collect();
                self.test.meets(&decoded)
            }),
        }
    }
}

impl Test {
    fn any<'a>(&self, mut values: impl Iterator<Item = &'a [u8]>) -> bool {
        match self {
            Self::Absent => values.next().is_none(),
            _ => values.any(|value| self.meets(value)),
        }
    }

    fn meets(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(expected) => expected.as_bytes() == value,
            Self::Regex(regex) => regex.matches(value),
            Self::Wildcard(glob) => glob.matches(value),
            Self::Present => true,
            Self::Absent => false,
        }
    }
}

fn parse_name(place: Place, name: &str) -> Result<Box<str>, ConditionError> {
    if name.is_empty() {
        return Err(ConditionError::NoName);
    }
    match place {
        Place::Header if !is_token(name) => Err(ConditionError::HeaderName(name.to_owned())),
        Place::Cookie if !is_token(name) => Err(ConditionError::CookieName(name.to_owned())),
        Place::Header => Ok(name.to_ascii_lowercase().into()),
        Place::Query | Place::Cookie => Ok(name.into()),
    }
}

/// RFC 9110, 5.6.2.
pub(crate) fn is_token(text: &str) -> bool {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(in_token)
}

/// Methods and conditions that all must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    /// Empty: any.
    methods: Box<[Box<str>]>,
    conditions: Box<[Condition]>,
}

impl Conditions {
    pub(crate) fn parse_with(
        from: &wire::Match,
        regex: &mut dyn FnMut(&str) -> Result<Arc<FullRegex>, RegexError>,
    ) -> Result<Self, ConditionError> {
        let methods = from.methods.iter().map(|method| parse_method(method)).collect::<Result<_, _>>()?;
        let places =
            [(Place::Header, &from.headers), (Place::Query, &from.query), (Place::Cookie, &from.cookies)];
        let mut conditions = Vec::new();
        for (place, list) in places {
            for condition in list {
                let kind = ConditionKind::try_from(condition.kind)
                    .map_err(|_| ConditionError::Kind(condition.kind))?;
                let parsed = Condition::parse_with(place, kind, &condition.name, &condition.value, regex)?;
                conditions.push(parsed);
            }
        }
        Ok(Self { methods, conditions: conditions.into() })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.methods.is_empty() && self.conditions.is_empty()
    }

    #[inline]
    pub(crate) fn hold<H: RequestHead>(&self, head: &H) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|method| **method == *head.method()))
            && self.conditions.iter().all(|condition| condition.holds(head))
    }
}

/// A method as routes name it: a token without lower-case letters.
pub fn parse_method(method: &str) -> Result<Box<str>, ConditionError> {
    if !is_token(method) || method.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(ConditionError::Method(method.to_owned()));
    }
    Ok(method.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Head;

    fn holds(place: Place, kind: ConditionKind, value: &str, head: &Head) -> bool {
        Condition::parse(place, kind, "x-a", value).unwrap().holds(head)
    }

    #[test]
    fn headers() {
        use ConditionKind::{Absent, Exact, Present, Regex, Wildcard};
        let head = Head::get("/").header("x-a", "one").header("x-a", "two");
        for (kind, value, expected) in [
            (Exact, "two", true),
            (Exact, "tw", false),
            (Exact, "TWO", false),
            (Regex, "t.o", true),
            (Regex, "t.", false),
            (Wildcard, "o*", true),
            (Wildcard, "p*", false),
            (Present, "", true),
            (Absent, "", false),
        ] {
            assert_eq!(holds(Place::Header, kind, value, &head), expected, "{kind:?} {value}");
        }
        assert!(holds(Place::Header, Absent, "", &Head::get("/")));
        assert!(!holds(Place::Header, Wildcard, "*", &Head::get("/")), "no value, nothing to match");
    }

    #[test]
    fn query_values_are_decoded() {
        use ConditionKind::{Absent, Exact, Present, Regex, Wildcard};
        let head = Head::get("/?y=1&x%2da=a%20b&x-a=c+d&x-a");
        for (kind, value, expected) in [
            (Exact, "a b", true),
            (Exact, "c d", true),
            (Exact, "", true),
            (Exact, "a%20b", false),
            (Regex, "[a-z] [a-z]", true),
            (Wildcard, "* d", true),
            (Present, "", true),
            (Absent, "", false),
        ] {
            assert_eq!(holds(Place::Query, kind, value, &head), expected, "{kind:?} {value}");
        }
        assert!(holds(Place::Query, Absent, "", &Head::get("/?x=1")));
    }

    #[test]
    fn cookies() {
        use ConditionKind::{Absent, Exact, Present};
        let head = Head::get("/").header("cookie", "a=1; x-a=two;b").header("cookie", "x-a=3");
        assert!(holds(Place::Cookie, Exact, "two", &head) && holds(Place::Cookie, Exact, "3", &head));
        assert!(holds(Place::Cookie, Present, "", &head) && !holds(Place::Cookie, Absent, "", &head));
        assert!(!holds(Place::Cookie, Exact, "1", &head));
    }

    #[test]
    fn refuses_bad_names_and_methods() {
        let parse = |place, name: &str| Condition::parse(place, ConditionKind::Present, name, "").map(|_| ());
        assert_eq!(parse(Place::Query, ""), Err(ConditionError::NoName));
        assert_eq!(parse(Place::Header, "a b"), Err(ConditionError::HeaderName("a b".into())));
        assert_eq!(parse(Place::Cookie, "a=b"), Err(ConditionError::CookieName("a=b".into())));
        assert!(parse(Place::Query, "a b").is_ok());
        assert!(parse_method("GET").is_ok() && parse_method("M-SEARCH").is_ok());
        for method in ["", "get", "G T"] {
            assert!(parse_method(method).is_err(), "{method:?}");
        }
    }
}
