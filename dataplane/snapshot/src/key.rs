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
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    kind: Kind,
    namespace: Arc<str>,
    name: Arc<str>,
}

/// Text that isn't `kind/namespace/name` with a known kind and neither part empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a key: write kind/namespace/name")]
pub struct KeyError(pub String);

impl Key {
    pub fn new(kind: Kind, namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }

    pub const fn kind(&self) -> Kind {
        self.kind
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key of another kind with the same namespace and name, as a Backend and its Endpoints have.
    pub fn with_kind(&self, kind: Kind) -> Self {
        Self { kind, ..self.clone() }
    }

    /// The key of the backend that a route defines inline at `index` of its `backends`. `~` is in no Kubernetes name, so
    /// it can't meet a Backend of its own.
    pub fn inline_backend(&self, index: usize) -> Self {
        Self::new(Kind::Backend, self.namespace.clone(), format!("{}~{index}", self.name))
    }

    /// The key of the secret with the password that this backend shows to its forward proxy.
    pub fn proxy_password(&self) -> Self {
        Self::new(Kind::Secret, self.namespace.clone(), format!("{}~proxy", self.name))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
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
    fn refuses_what_is_no_key() {
        for text in ["", "route", "route/default", "route//x", "route/default/", "shoe/default/x"] {
            assert_eq!(text.parse::<Key>(), Err(KeyError(text.to_owned())), "{text}");
        }
    }
}
