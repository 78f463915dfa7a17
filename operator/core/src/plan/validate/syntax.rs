//! The one place where plan asks the data plane's own parsers, so that what is accepted here is what workers compile.

use crds::{BackendSpec, PathType};
use dataplane_core::condition::parse_method;
use dataplane_core::health::{CheckUrl, CheckUrlError};
use dataplane_core::{
    Condition, ConditionError, Credentials, CredentialsError, ExpressionError, FoundRegex, HostError,
    HostPattern, PathPattern, PatternError, Place, RegexError, Root, RootError, parse_network,
};
use dataplane_snapshot::wire::{ConditionKind, PathKind, ProxyProtocol};

use crate::plan::findings::{Field, Findings};

pub(super) fn hostname(text: &str) -> Result<(), HostError> {
    HostPattern::parse(text).map(drop)
}

pub(super) fn path(type_: PathType, text: &str) -> Result<(), PatternError> {
    let kind = match type_ {
        PathType::Prefix => PathKind::Prefix,
        PathType::Exact => PathKind::Exact,
    };
    PathPattern::parse(kind, text).map(drop)
}

pub(super) fn method(text: &str) -> Result<(), ConditionError> {
    parse_method(text).map(drop)
}

pub(super) fn condition(
    place: Place,
    kind: ConditionKind,
    name: &str,
    value: &str,
) -> Result<(), ConditionError> {
    Condition::parse(place, kind, name, value).map(drop)
}

pub(super) fn check_url(text: &str) -> Result<(), CheckUrlError> {
    CheckUrl::parse(text).map(drop)
}

pub(in crate::plan) fn credentials(
    protocol: ProxyProtocol,
    principal: &str,
    password: &str,
) -> Result<(), CredentialsError> {
    Credentials::new(protocol, principal, password).map(drop)
}

pub(super) fn found_regex(text: &str) -> Result<(), RegexError> {
    FoundRegex::parse(text).map(drop)
}

pub(super) fn is_network(text: &str) -> bool {
    parse_network(text).is_some()
}

pub(super) fn root(spec: &BackendSpec, at: &Field<'_>, findings: &mut Findings) {
    match Root::parse(&spec.root, spec.rewrite) {
        Ok(_) => {}
        Err(RootError::Expression(error @ ExpressionError::NotSupported(_))) => {
            // The sentence says itself that it isn't supported yet.
            findings.unsupported_as_said(at, error);
        }
        Err(error) => findings.invalid(at, error.to_string()),
    }
}
