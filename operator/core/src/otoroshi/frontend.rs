use crds::{Condition, ConditionType, PathType, RouteMatch};
use serde_json::{Map, Value, json};

use super::domains;
use super::reader::{Reader, whole_object};
use crate::Problem;

/// The part of a route that a frontend tells.
#[derive(Debug, PartialEq)]
pub(super) struct Frontend {
    pub(super) matches: Vec<RouteMatch>,
    pub(super) strip_path: bool,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Frontend {
    let exact = reader.bool("exact", false);
    let conditions = RouteMatch {
        methods: reader.strings("methods"),
        headers: read_conditions(reader, "headers"),
        query: read_conditions(reader, "query"),
        cookies: read_conditions(reader, "cookies"),
        ..RouteMatch::default()
    };
    let matches = domains::read(reader, exact).into_iter().map(|domains| RouteMatch {
        hostnames: domains.hostnames,
        paths: domains.paths,
        ..conditions.clone()
    });
    Frontend { matches: matches.collect(), strip_path: reader.bool("strip_path", true) }
}

/// Name → value, where the value says how it is compared.
fn read_conditions(reader: &mut Reader<'_>, name: &str) -> Vec<Condition> {
    let condition = |(name, value): (String, String)| {
        let (type_, value) = comparison(&value);
        Condition { name, type_, value: value.map(str::to_owned) }
    };
    reader.string_map(name).into_iter().map(condition).collect()
}

fn comparison(value: &str) -> (ConditionType, Option<&str>) {
    let inside = |name: &str| value.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
    if let Some(regex) = inside("Regex") {
        return (ConditionType::Regex, Some(regex));
    }
    if let Some(wildcard) = inside("Wildcard") {
        return (ConditionType::Wildcard, Some(wildcard));
    }
    match value {
        "Exists()" | "IsDefined()" => (ConditionType::Present, None),
        "NotDefined()" => (ConditionType::Absent, None),
        exact => (ConditionType::Exact, Some(exact)),
    }
}

/// As near as Otoroshi's form comes: all the hosts and paths, with the conditions of the first match.
pub(super) fn write(matches: &[RouteMatch], strip_path: bool) -> Value {
    let conditions = matches.first().cloned().unwrap_or_default();
    json!({
        "domains": domains::write(matches),
        "strip_path": strip_path,
        "exact": conditions.paths.first().is_some_and(|path| path.type_ == PathType::Exact),
        "headers": write_conditions(&conditions.headers),
        "query": write_conditions(&conditions.query),
        "cookies": write_conditions(&conditions.cookies),
        "methods": conditions.methods,
    })
}

fn write_conditions(conditions: &[Condition]) -> Map<String, Value> {
    let pair = |condition: &Condition| {
        let value = condition.value.as_deref().unwrap_or_default();
        let value = match condition.type_ {
            ConditionType::Exact => value.to_owned(),
            ConditionType::Regex => format!("Regex({value})"),
            ConditionType::Wildcard => format!("Wildcard({value})"),
            ConditionType::Present => "Exists()".to_owned(),
            ConditionType::Absent => "NotDefined()".to_owned(),
        };
        (condition.name.clone(), Value::String(value))
    };
    conditions.iter().map(pair).collect()
}

/// Whether Otoroshi's form says all of it.
pub(super) fn is_complete(written: &Value, matches: &[RouteMatch]) -> bool {
    let mut problems: Vec<Problem> = Vec::new();
    let read = whole_object("", written.clone(), &mut problems, read);
    problems.is_empty() && read.is_some_and(|frontend| frontend.matches == matches)
}
