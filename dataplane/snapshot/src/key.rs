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
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::Listener,
        Self::Route,
        Self::Backend,
        Self::Endpoints,
        Self::Certificate,
        Self::Secret,
        Self::Limit,
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
    /// `namespace/name`, in one piece: there are several keys for each object that is served.
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
        write!(f, "{}/{}", self.kind, self.text)
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
    fn refuses_what_is_no_key() {
        for text in ["", "route", "route/default", "route//x", "route/default/", "shoe/default/x"] {
            assert_eq!(text.parse::<Key>(), Err(KeyError(text.to_owned())), "{text}");
        }
    }
}
