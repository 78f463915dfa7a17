use std::borrow::Cow;
use std::fmt::Display;

use crds::{Condition, ConditionType, PathMatch, PathType, RouteMatch};
use dataplane_core::Place;
use dataplane_snapshot::wire::ConditionKind;

use super::syntax;
use crate::plan::findings::{Field, Findings};
use crate::plan::model::{ValidCondition, ValidMatch};

/// What is good of each match. A match is left out where the rest of it would match more than was written: without any of
/// its host names, without any of its paths, or with a condition less.
pub(super) fn matches<'a>(
    specs: &'a [RouteMatch],
    at: &Field<'_>,
    findings: &mut Findings,
) -> Vec<ValidMatch<'a>> {
    if specs.is_empty() {
        findings.invalid(at, "write at least one match; an empty one, {}, takes every request");
    }
    let each = specs.iter().enumerate();
    each.filter_map(|(index, spec)| one(spec, index, &at.index(index), findings)).collect()
}

fn one<'a>(
    spec: &'a RouteMatch,
    index: usize,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Option<ValidMatch<'a>> {
    let hostnames = good_of(&spec.hostnames, &at.name("hostnames"), |text, at| hostname(text, at, findings));
    let paths = good_of(&spec.paths, &at.name("paths"), |spec, at| path(spec, at, findings));
    let methods = methods(&spec.methods, &at.name("methods"), findings);
    let headers = conditions(Place::Header, &spec.headers, &at.name("headers"), findings);
    let query = conditions(Place::Query, &spec.query, &at.name("query"), findings);
    let cookies = conditions(Place::Cookie, &spec.cookies, &at.name("cookies"), findings);
    Some(ValidMatch {
        index,
        hostnames: hostnames?,
        paths: paths?,
        methods: methods?,
        headers: headers?,
        query: query?,
        cookies: cookies?,
    })
}

/// The good ones; `None` if none is left.
pub(super) fn methods<'a>(
    specs: &'a [String],
    at: &Field<'_>,
    findings: &mut Findings,
) -> Option<Vec<&'a str>> {
    good_of(specs, at, |text, at| method(text, at, findings))
}

/// All of them; `None` if one is bad.
pub(super) fn conditions<'a>(
    place: Place,
    specs: &'a [Condition],
    at: &Field<'_>,
    findings: &mut Findings,
) -> Option<Vec<ValidCondition<'a>>> {
    all_of(specs, at, |spec, at| condition(place, spec, at, findings))
}

/// The good ones of alternatives; `None` if none is left, as an empty list means any.
fn good_of<'a, S, T>(
    specs: &'a [S],
    at: &Field<'_>,
    mut check: impl FnMut(&'a S, &Field<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let good: Vec<T> =
        specs.iter().enumerate().filter_map(|(index, spec)| check(spec, &at.index(index))).collect();
    (!good.is_empty() || specs.is_empty()).then_some(good)
}

/// All of what must hold together; `None` if one is bad. Looks at every one, for its problems.
fn all_of<'a, S, T>(
    specs: &'a [S],
    at: &Field<'_>,
    check: impl FnMut(&'a S, &Field<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    good_of(specs, at, check).filter(|good| good.len() == specs.len())
}

fn hostname(text: &str, at: &Field<'_>, findings: &mut Findings) -> Option<String> {
    let name = text.to_ascii_lowercase();
    good(syntax::hostname(&name), at, findings)?;
    Some(name)
}

fn path<'a>(spec: &'a PathMatch, at: &Field<'_>, findings: &mut Findings) -> Option<(PathType, &'a str)> {
    good(syntax::path(spec.type_, &spec.value), &at.name("value"), findings)?;
    Some((spec.type_, &spec.value))
}

fn method<'a>(text: &'a str, at: &Field<'_>, findings: &mut Findings) -> Option<&'a str> {
    good(syntax::method(text), at, findings)?;
    Some(text)
}

fn condition<'a>(
    place: Place,
    spec: &'a Condition,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Option<ValidCondition<'a>> {
    let value = value(spec, &at.name("value"), findings)?;
    let kind = kind(spec.type_);
    good(syntax::condition(place, kind, &spec.name, value), at, findings)?;
    let name = match place {
        Place::Header => Cow::Owned(spec.name.to_ascii_lowercase()),
        Place::Query | Place::Cookie => Cow::Borrowed(&*spec.name),
    };
    Some(ValidCondition { name, kind, value })
}

const fn kind(type_: ConditionType) -> ConditionKind {
    match type_ {
        ConditionType::Exact => ConditionKind::Exact,
        ConditionType::Regex => ConditionKind::Regex,
        ConditionType::Wildcard => ConditionKind::Wildcard,
        ConditionType::Present => ConditionKind::Present,
        ConditionType::Absent => ConditionKind::Absent,
    }
}

fn value<'a>(spec: &'a Condition, at: &Field<'_>, findings: &mut Findings) -> Option<&'a str> {
    match (spec.type_, spec.value.as_deref()) {
        (ConditionType::Present | ConditionType::Absent, None) => Some(""),
        (ConditionType::Present | ConditionType::Absent, Some(_)) => {
            findings.invalid(at, "Present and Absent look at the name alone: leave value out");
            None
        }
        (_, None) => {
            findings.invalid(at, "write what to compare with, or type Present or Absent");
            None
        }
        (_, Some(value)) => Some(value),
    }
}

fn good<E: Display>(result: Result<(), E>, at: &Field<'_>, findings: &mut Findings) -> Option<()> {
    result.map_err(|error| findings.invalid(at, error.to_string())).ok()
}
