//! Which Routes somebody gets; what they reference comes along.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// The label that carries the tenant of an object.
pub const TENANT_LABEL: &str = "komainu.dev/tenant";

/// The tenant of an object without that label.
pub const DEFAULT_TENANT: &str = "default";

/// The longest scope, in bytes of its text: it is sent in a header with each poll.
pub const MAX_SCOPE_BYTES: usize = 4096;

const NAMESPACES: &str = "namespaces";
const TENANTS: &str = "tenants";
const LABEL: &str = "labels.";

type Values = BTreeSet<String>;

/// A choice of Routes by namespace and labels, of which the tenant is one. All terms must hold; a term holds for any of its
/// values. Without a term it is everything; a term without a value holds for nothing.
///
/// Its text is `namespaces=a|b,tenants=c,labels.team=x|y`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    namespaces: Option<Values>,
    labels: BTreeMap<String, Values>,
}

/// Why something is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    #[error("{0:?} is no label: write key=value")]
    Label(String),
    #[error(
        "{0:?} can't be in a scope: write 1 to 253 visible characters of ASCII without commas, equal signs and bars"
    )]
    Value(String),
    #[error("{0:?} is no term of a scope: write namespaces=…, tenants=… or labels.KEY=…")]
    Term(String),
    #[error(
        "it takes {0} bytes, at most {MAX_SCOPE_BYTES} are possible: select by a label that all of them have"
    )]
    Length(usize),
}

impl Scope {
    /// Of what settings name; what isn't given doesn't limit. Labels are `key=value`; those of one key are values of one
    /// term.
    ///
    /// # Errors
    /// The first text that can't be used, or that it is too long.
    pub fn new<T: AsRef<str>>(namespaces: &[T], labels: &[T], tenants: &[T]) -> Result<Self, ScopeError> {
        let texts = |of: &[T]| of.iter().map(|text| value(text.as_ref())).collect::<Result<Values, _>>();
        let mut scope = Self::default();
        for label in labels {
            let label = label.as_ref();
            let (key, of) = label.split_once('=').ok_or_else(|| ScopeError::Label(label.to_owned()))?;
            scope.labels.entry(value(key)?).or_default().insert(value(of)?);
        }
        scope.namespaces = Some(texts(namespaces)?).filter(|namespaces| !namespaces.is_empty());
        let tenants = texts(tenants)?;
        if !tenants.is_empty() {
            scope.limit(TENANT_LABEL, &tenants);
        }
        scope.bounded()
    }

    /// Whether everything is selected.
    pub fn is_all(&self) -> bool {
        self.namespaces.is_none() && self.labels.is_empty()
    }

    /// Whether a Route with this namespace and these labels is selected.
    pub fn selects(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        let label = |key: &str| {
            let default = (key == TENANT_LABEL).then_some(DEFAULT_TENANT);
            labels.get(key).map(String::as_str).or(default)
        };
        let is_one =
            |(key, values): (&String, &Values)| label(key).is_some_and(|label| values.contains(label));
        let namespace = self.namespaces.as_ref().is_none_or(|namespaces| namespaces.contains(namespace));
        namespace && self.labels.iter().all(is_one)
    }

    /// What both select.
    #[must_use]
    pub fn narrow(&self, other: &Self) -> Self {
        let mut narrowed = self.clone();
        narrowed.namespaces = match (&self.namespaces, &other.namespaces) {
            (Some(ours), Some(theirs)) => Some(ours & theirs),
            (ours, theirs) => ours.as_ref().or(theirs.as_ref()).cloned(),
        };
        other.labels.iter().for_each(|(key, values)| narrowed.limit(key, values));
        narrowed
    }

    /// Whether it selects nothing that `other` doesn't.
    pub fn is_within(&self, other: &Self) -> bool {
        other.narrow(self) == *self
    }

    fn limit(&mut self, key: &str, values: &Values) {
        let narrowed = self.labels.get(key).map_or_else(|| values.clone(), |ours| ours & values);
        self.labels.insert(key.to_owned(), narrowed);
    }

    /// # Errors
    /// It is longer than [`MAX_SCOPE_BYTES`], as what two scopes both select may be.
    pub fn bounded(self) -> Result<Self, ScopeError> {
        let length = self.to_string().len();
        if length > MAX_SCOPE_BYTES { Err(ScopeError::Length(length)) } else { Ok(self) }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |values: &Values| values.iter().map(String::as_str).collect::<Vec<_>>().join("|");
        let namespaces = self.namespaces.iter().map(|values| format!("{NAMESPACES}={}", joined(values)));
        let labels = self.labels.iter().map(|(key, values)| match key.as_str() {
            TENANT_LABEL => format!("{TENANTS}={}", joined(values)),
            key => format!("{LABEL}{key}={}", joined(values)),
        });
        f.write_str(&namespaces.chain(labels).collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text.len() > MAX_SCOPE_BYTES {
            return Err(ScopeError::Length(text.len()));
        }
        let mut scope = Self::default();
        for term in text.split(',').filter(|term| !term.is_empty()) {
            let no_term = || ScopeError::Term(term.to_owned());
            let (name, values) = term.split_once('=').ok_or_else(no_term)?;
            let values =
                values.split('|').filter(|of| !of.is_empty()).map(value).collect::<Result<_, _>>()?;
            let key = match name {
                NAMESPACES => {
                    scope = scope.narrow(&Self { namespaces: Some(values), labels: BTreeMap::new() });
                    continue;
                }
                TENANTS => TENANT_LABEL.to_owned(),
                label => value(label.strip_prefix(LABEL).ok_or_else(no_term)?)?,
            };
            scope.limit(&key, &values);
        }
        scope.bounded()
    }
}

/// What can be a namespace, or the key or value of a label.
fn value(text: &str) -> Result<String, ScopeError> {
    let is_good = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b',' | b'=' | b'|');
    if (1..=253).contains(&text.len()) && text.bytes().all(is_good) {
        Ok(text.to_owned())
    } else {
        Err(ScopeError::Value(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn all_terms_must_hold_and_any_of_their_values() {
        let scope = Scope::new(&["a", "b"], &["team=x", "team=y", "stage=live"], &["acme"]).unwrap();
        let good = labels(&[("team", "y"), ("stage", "live"), (TENANT_LABEL, "acme"), ("more", "1")]);
        assert!(scope.selects("b", &good));
        assert!(!scope.selects("c", &good));
        for (key, value) in [("team", "z"), ("stage", "test"), (TENANT_LABEL, "other")] {
            let mut other = good.clone();
            other.insert(key.to_owned(), value.to_owned());
            assert!(!scope.selects("b", &other), "{key}={value}");
            other.remove(key);
            assert!(!scope.selects("b", &other), "without {key}");
        }
        assert!(Scope::default().selects("c", &labels(&[])) && Scope::default().is_all());
    }

    #[test]
    fn a_tenant_is_a_label() {
        let by_label = Scope::new(&[], &["komainu.dev/tenant=acme"], &[]).unwrap();
        assert_eq!(Scope::new(&[], &[], &["acme"]).unwrap(), by_label);
        let both = Scope::new(&[], &["komainu.dev/tenant=acme"], &["other"]).unwrap();
        assert!(!both.selects("a", &labels(&[(TENANT_LABEL, "acme")])), "both can't hold");
        let default = Scope::new(&[], &[], &["default"]).unwrap();
        assert!(default.selects("a", &labels(&[])) && !by_label.selects("a", &labels(&[])));
    }

    #[test]
    fn has_a_text_that_says_it_all() {
        for (text, same) in [
            ("", ""),
            ("namespaces=a|b", "namespaces=b|a|b"),
            ("tenants=", "tenants=a,tenants=b"),
            ("namespaces=a,tenants=c,labels.team=x|y", "labels.team=y|x,tenants=c,namespaces=a"),
        ] {
            let scope: Scope = same.parse().unwrap();
            assert_eq!(scope.to_string(), text);
            assert_eq!(text.parse(), Ok(scope));
        }
    }

    #[test]
    fn refuses_what_is_none() {
        for text in ["a", "namespace=a", "labels.=a", "tenants=a b", "tenants=\u{fc}", "tenants=a=b"] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
        let long = format!("tenants={}", "a|".repeat(MAX_SCOPE_BYTES));
        assert!(matches!(long.parse::<Scope>(), Err(ScopeError::Length(_))));
        assert_eq!(Scope::new(&[], &["team"], &[]), Err(ScopeError::Label("team".to_owned())));
        assert_eq!(Scope::new(&["a,b"], &[], &[]), Err(ScopeError::Value("a,b".to_owned())));
        let many: Vec<_> = (0..1000).map(|number| format!("team-{number}")).collect();
        assert!(matches!(Scope::new(&many, &[], &[]), Err(ScopeError::Length(_))));
    }

    #[test]
    fn is_narrowed_never_widened() {
        let of = |text: &str| text.parse::<Scope>().unwrap();
        let own = of("tenants=a|b,labels.stage=live");
        for (asked, got) in [
            ("", "tenants=a|b,labels.stage=live"),
            ("tenants=b|c", "tenants=b,labels.stage=live"),
            ("tenants=c", "tenants=,labels.stage=live"),
            ("namespaces=n", "namespaces=n,tenants=a|b,labels.stage=live"),
        ] {
            let narrowed = own.narrow(&of(asked));
            assert_eq!(narrowed, of(got), "{asked}");
            assert_eq!(narrowed, of(asked).narrow(&own), "{asked}");
            assert!(narrowed.is_within(&own) && narrowed.is_within(&of(asked)), "{asked}");
        }
        assert!(!Scope::default().is_within(&own) && own.is_within(&Scope::default()));
    }
}
