use crds::{Predicate, PredicateType};
use dataplane_core::Place;

use super::{matches, syntax};
use crate::plan::findings::{Field, Findings};
use crate::plan::model::{ValidPredicate, ValidRequestMatch};

/// `None` only if something was found: a target must not get requests that it isn't for.
pub(super) fn predicate<'a>(
    spec: &'a Predicate,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Option<ValidPredicate<'a>> {
    other_parameters(spec, at, findings);
    match spec.type_ {
        PredicateType::AlwaysMatch => Some(ValidPredicate::Always),
        PredicateType::NetworkLocationMatch => Some(ValidPredicate::NetworkLocation(spec)),
        PredicateType::RequestMatch => request(spec, at, findings).map(ValidPredicate::Request),
    }
}

fn request<'a>(
    spec: &'a Predicate,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Option<ValidRequestMatch<'a>> {
    let methods = matches::methods(&spec.methods, &at.name("methods"), findings);
    let headers = matches::conditions(Place::Header, &spec.headers, &at.name("headers"), findings);
    let query = matches::conditions(Place::Query, &spec.query, &at.name("query"), findings);
    let cookies = matches::conditions(Place::Cookie, &spec.cookies, &at.name("cookies"), findings);
    let at_cidrs = at.name("clientCidrs");
    for (index, text) in spec.client_cidrs.iter().enumerate() {
        if !syntax::is_network(text) {
            let message = format!("{text:?} is no network: write for instance 10.0.0.0/8 or 192.0.2.7");
            findings.invalid(&at_cidrs.index(index), message);
        }
    }
    Some(ValidRequestMatch {
        methods: methods?,
        headers: headers?,
        query: query?,
        cookies: cookies?,
        client_cidrs: &spec.client_cidrs,
    })
}

/// What only another type knows would have no effect.
fn other_parameters(spec: &Predicate, at: &Field<'_>, findings: &mut Findings) {
    use PredicateType::{NetworkLocationMatch, RequestMatch};
    let parameters = [
        ("provider", spec.provider.is_some(), NetworkLocationMatch),
        ("region", spec.region.is_some(), NetworkLocationMatch),
        ("zone", spec.zone.is_some(), NetworkLocationMatch),
        ("dataCenter", spec.data_center.is_some(), NetworkLocationMatch),
        ("rack", spec.rack.is_some(), NetworkLocationMatch),
        ("methods", !spec.methods.is_empty(), RequestMatch),
        ("headers", !spec.headers.is_empty(), RequestMatch),
        ("query", !spec.query.is_empty(), RequestMatch),
        ("cookies", !spec.cookies.is_empty(), RequestMatch),
        ("clientCidrs", !spec.client_cidrs.is_empty(), RequestMatch),
    ];
    for (name, is_set, its) in parameters {
        if is_set && spec.type_ != its {
            findings.invalid(&at.name(name), format!("only goes with type {its:?}: leave it out"));
        }
    }
}
