use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What an object is. The numbers are the wire's and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Listener,
    Route,
    Backend,
    Endpoints,
    Certificate,
    Secret,
    Limit,
    /// As with the next two, sources have objects of this kind, and leaders plan by them; snapshots have none.
    Service,
    /// A part of what a Service leads to.
    Slice,
    /// What a namespace lets others name.
    Grant,
    /// One that only a later version knows. Objects of it are kept as they came, for the root's sake; nothing is made of them.
    Unknown,
}

impl Kind {
    /// Those that are known.
    pub const ALL: [Self; 10] = [
        Self::Listener,
        Self::Route,
        Self::Backend,
        Self::Endpoints,
        Self::Certificate,
        Self::Secret,
        Self::Limit,
        Self::Service,
        Self::Slice,
        Self::Grant,
    ];

    /// The lower-case word used in keys, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Route => "route",
            Self::Backend => "backend",
            Self::Endpoints => "endpoints",
            Self::Certificate => "certificate",
            Self::Secret => "secret",
            Self::Limit => "limit",
            Self::Service => "service",
            Self::Slice => "slice",
            Self::Grant => "grant",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| KeyError(text.to_owned()))
    }
}

/// The name of an object: `kind/namespace/name`. Cheap to clone; ordered by kind, then namespace, then name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    kind: Kind,
    /// The length of the namespace.
    namespace: u32,
    /// `namespace/name`, in one piece: there are several keys for each object that is served. Of [`Kind::Unknown`] all of
    /// `kind/namespace/name`, with the kind as a part of the namespace.
    text: Arc<str>,
}

/// Text that isn't `kind/namespace/name` with a known kind and neither part empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a key: write kind/namespace/name")]
pub struct KeyError(pub String);

impl Key {
    /// The namespace must have less than 4 GiB.
    pub fn new(kind: Kind, namespace: impl AsRef<str>, name: impl AsRef<str>) -> Self {
        let (namespace, name) = (namespace.as_ref(), name.as_ref());
        let text = [namespace, "/", name].concat().into();
        Self { kind, namespace: u32::try_from(namespace.len()).unwrap_or(u32::MAX), text }
    }

    /// Reads a key as a peer wrote it, which may be of a later version and have kinds that aren't known here.
    pub fn of_any_kind(text: &str) -> Result<Self, KeyError> {
        text.parse().or_else(|error| {
            let (kind, rest) = text.split_once('/').ok_or(error)?;
            let (namespace, name) = rest.split_once('/').unwrap_or_default();
            if [kind, namespace, name].iter().any(|part| part.is_empty()) {
                return Err(KeyError(text.to_owned()));
            }
            Ok(Self::new(Kind::Unknown, [kind, "/", namespace].concat(), name))
        })
    }

    pub const fn kind(&self) -> Kind {
        self.kind
    }

    pub fn namespace(&self) -> &str {
        self.text.get(..self.namespace as usize).unwrap_or_default()
    }

    pub fn name(&self) -> &str {
        self.text.get(self.namespace as usize + 1..).unwrap_or_default()
    }

    /// The key of another kind with the same namespace and name, as a Backend and its Endpoints have.
    pub fn with_kind(&self, kind: Kind) -> Self {
        Self { kind, ..self.clone() }
    }

    /// The key of the backend that a route defines inline at `index` of its `backends`. `~` is in no Kubernetes name, so
    /// it can't meet a Backend of its own.
    pub fn inline_backend(&self, index: usize) -> Self {
        Self::new(Kind::Backend, self.namespace(), format!("{}~{index}", self.name()))
    }

    /// The key of the certificates that this one comes with to be trusted in its place.
    pub fn authorities(&self) -> Self {
        Self::new(Kind::Certificate, self.namespace(), format!("{}~authorities", self.name()))
    }

    /// The route that defines the backend with this key inline, and its index there.
    pub fn inline_in(&self) -> Option<(Self, usize)> {
        let (route, index) = self.name().rsplit_once('~').filter(|_| self.kind == Kind::Backend)?;
        Some((Self::new(Kind::Route, self.namespace(), route), index.parse().ok()?))
    }

    /// The key of the secret with the password that this backend shows to its forward proxy.
    pub fn proxy_password(&self) -> Self {
        Self::new(Kind::Secret, self.namespace(), format!("{}~proxy", self.name()))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        // Not by the text: `a-b/c` comes after `a/c`.
        if (self.kind, self.namespace) == (other.kind, other.namespace) {
            return self.text.cmp(&other.text);
        }
        (self.kind, self.namespace(), self.name()).cmp(&(other.kind, other.namespace(), other.name()))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Unknown => f.write_str(&self.text),
            kind => write!(f, "{kind}/{}", self.text),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let error = || KeyError(text.to_owned());
        let mut parts = text.splitn(3, '/');
        let kind = parts.next().ok_or_else(error)?.parse().map_err(|_| error())?;
        let namespace = parts.next().filter(|part| !part.is_empty()).ok_or_else(error)?;
        let name = parts.next().filter(|part| !part.is_empty()).ok_or_else(error)?;
        Ok(Self::new(kind, namespace, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["route/default/users", "backend/team-a/users~0", "listener/settings/http"] {
            assert_eq!(text.parse::<Key>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_order_is_that_of_kind_namespace_and_name() {
        let texts = [
            "listener/z/z",
            "route/a/c",
            "route/a/d",
            "route/a-b/a",
            "route/a-b/c",
            "route/b/a",
            "route/bb/a",
            "backend/a/a",
        ];
        let keys = texts.map(|text| text.parse::<Key>().unwrap());
        assert!(keys.is_sorted_by(|one, other| one < other), "{keys:?}");
        for key in &keys {
            assert_eq!(*key, Key::new(key.kind(), key.namespace(), key.name()));
        }
    }

    #[test]
    fn a_kind_of_a_later_version_is_kept_as_it_came_and_comes_last() {
        let texts =
            ["limit/x/y", "backend-policy/a/b", "shoe/a/b", "shoe/a/b/c", "shoe/a-b/b", "unknown/a/b"];
        let keys = texts.map(|text| Key::of_any_kind(text).unwrap());
        for (key, text) in keys.iter().zip(texts) {
            assert_eq!(key.to_string(), text);
            assert_eq!(key.kind() == Kind::Unknown, text != "limit/x/y", "{text}");
            assert_eq!(*key, Key::new(key.kind(), key.namespace(), key.name()));
        }
        assert!(keys.is_sorted_by(|one, other| one < other), "{keys:?}");
        assert_eq!(Key::of_any_kind("route/a/b"), "route/a/b".parse());
        for text in ["", "shoe", "shoe/a", "shoe//b", "shoe/a/", "/a/b", "route/a", "route//x"] {
            assert_eq!(Key::of_any_kind(text), Err(KeyError(text.to_owned())), "{text}");
        }
        assert!("unknown".parse::<Kind>().is_err());
    }

    #[test]
    fn an_inline_backend_leads_back_to_its_route() {
        let route: Key = "route/default/users".parse().unwrap();
        assert_eq!(route.inline_backend(3).inline_in(), Some((route.clone(), 3)));
        for other in ["backend/default/users", "secret/default/users~0", "backend/default/users~proxy"] {
            assert_eq!(other.parse::<Key>().unwrap().inline_in(), None, "{other}");
        }
    }

    #[test]
    fn refuses_what_is_no_key() {
        for text in ["", "route", "route/default", "route//x", "route/default/", "shoe/default/x"] {
            assert_eq!(text.parse::<Key>(), Err(KeyError(text.to_owned())), "{text}");
        }
    }
}
