use std::borrow::Cow;

use crds::{Condition, ConditionType, PathMatch, PathType, RouteMatch};

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
        return vec![everything()];
    }
    let each = specs.iter().enumerate();
    each.filter_map(|(index, spec)| one(spec, index, &at.index(index), findings)).collect()
}

/// A route without matches takes all requests of its listeners, as in the Gateway API.
const fn everything<'a>() -> ValidMatch<'a> {
    ValidMatch {
        index: 0,
        hostnames: Vec::new(),
        paths: Vec::new(),
        methods: Vec::new(),
        headers: Vec::new(),
        query: Vec::new(),
        cookies: Vec::new(),
    }
}

fn one<'a>(
    spec: &'a RouteMatch,
    index: usize,
    at: &Field<'_>,
    findings: &mut Findings,
) -> Option<ValidMatch<'a>> {
    let hostnames = good_of(&spec.hostnames, &at.name("hostnames"), |text, at| hostname(text, at, findings));
    let paths = good_of(&spec.paths, &at.name("paths"), |spec, at| path(spec, at, findings));
    let methods = good_of(&spec.methods, &at.name("methods"), |text, at| method(text, at, findings));
    let headers = all_of(&spec.headers, &at.name("headers"), |spec, at| header(spec, at, findings));
    let query = all_of(&spec.query, &at.name("query"), |spec, at| query(spec, at, findings));
    let cookies = all_of(&spec.cookies, &at.name("cookies"), |spec, at| cookie(spec, at, findings));
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
    match syntax::hostname(&name) {
        Ok(()) => Some(name),
        Err(message) => {
            findings.invalid(at, message);
            None
        }
    }
}

fn path<'a>(spec: &'a PathMatch, at: &Field<'_>, findings: &mut Findings) -> Option<(PathType, &'a str)> {
    match syntax::path(spec.type_, &spec.value) {
        Ok(()) => Some((spec.type_, &spec.value)),
        Err(message) => {
            findings.invalid(&at.name("value"), message);
            None
        }
    }
}

/// Methods are case-sensitive (RFC 9110 section 9.1) and all registered ones are upper-case.
fn method<'a>(text: &'a str, at: &Field<'_>, findings: &mut Findings) -> Option<&'a str> {
    if !is_token(text) {
        findings.invalid(at, format!("{text:?} is no method: write for instance GET"));
        return None;
    }
    if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        findings.invalid(at, format!("methods are upper-case: write {}", text.to_ascii_uppercase()));
        return None;
    }
    Some(text)
}

fn header<'a>(spec: &'a Condition, at: &Field<'_>, findings: &mut Findings) -> Option<ValidCondition<'a>> {
    let name = token(&spec.name, "header", at, findings);
    let value = value(spec, at, findings);
    Some(ValidCondition { name: Cow::Owned(name?.to_ascii_lowercase()), type_: spec.type_, value: value? })
}

fn query<'a>(spec: &'a Condition, at: &Field<'_>, findings: &mut Findings) -> Option<ValidCondition<'a>> {
    if spec.name.is_empty() {
        findings.invalid(&at.name("name"), "write the name of a query parameter");
    }
    let value = value(spec, at, findings)?;
    (!spec.name.is_empty()).then(|| ValidCondition {
        name: Cow::Borrowed(&spec.name),
        type_: spec.type_,
        value,
    })
}

fn cookie<'a>(spec: &'a Condition, at: &Field<'_>, findings: &mut Findings) -> Option<ValidCondition<'a>> {
    let name = token(&spec.name, "cookie", at, findings);
    let value = value(spec, at, findings);
    Some(ValidCondition { name: Cow::Borrowed(name?), type_: spec.type_, value: value? })
}

fn value<'a>(spec: &'a Condition, at: &Field<'_>, findings: &mut Findings) -> Option<&'a str> {
    let at = at.name("value");
    let value = match (spec.type_, spec.value.as_deref()) {
        (ConditionType::Present | ConditionType::Absent, None | Some("")) => return Some(""),
        (ConditionType::Present | ConditionType::Absent, Some(_)) => {
            findings.invalid(&at, "Present and Absent compare nothing: leave the value out");
            return None;
        }
        (_, None) => {
            findings.invalid(&at, "write what to compare with, or type Present or Absent");
            return None;
        }
        (_, Some(value)) => value,
    };
    match syntax::condition(spec.type_, value) {
        Ok(()) => Some(value),
        Err(message) => {
            findings.invalid(&at, message);
            None
        }
    }
}

fn token<'a>(text: &'a str, what: &str, at: &Field<'_>, findings: &mut Findings) -> Option<&'a str> {
    if is_token(text) {
        return Some(text);
    }
    findings
        .invalid(&at.name("name"), format!("{text:?} is no {what} name: letters, digits and -_. are fine"));
    None
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_tchar)
}
