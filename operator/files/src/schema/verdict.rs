//! A value against a shape: every difference, each with what would be right.

use std::fmt;

use serde_json::{Map, Number, Value};

use super::shape::{Pattern, Shape, Unique};
use crate::document::Finding;
use crate::names;

/// The way to a value; only written out for a finding.
pub(super) enum Path<'p> {
    Root(&'static str),
    Field(&'p Self, &'p str),
    Item(&'p Self, usize),
}

impl Path<'_> {
    /// The value there is nobody's business.
    fn is_secret(&self) -> bool {
        matches!(self, Self::Field(_, "password"))
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(name) => f.write_str(name),
            Self::Field(parent, name) if name.contains(['.', '[']) => write!(f, "{parent}[{name:?}]"),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

pub(super) fn check(shape: &Shape, value: &Value, path: &Path<'_>, findings: &mut Vec<Finding>) {
    let mut say = |message: String| findings.push(Finding::new(path.to_string(), message));
    match (shape, value) {
        (Shape::Any, _)
        | (Shape::Bool, Value::Bool(_))
        | (Shape::NumberOrText, Value::Number(_) | Value::String(_)) => {}
        (Shape::Object { .. }, Value::Object(map)) => object(shape, map, path, findings),
        (Shape::List { .. }, Value::Array(list)) => items(shape, list, path, findings),
        (Shape::Text { least, most, pattern, one_of }, Value::String(text)) => {
            let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
            let wrong = not_one_of(text, one_of)
                .or_else(|| out_of_bounds(length, *least, *most, "character"))
                .or_else(|| unlike(text, pattern.as_ref()));
            wrong.into_iter().for_each(say);
        }
        (Shape::Number { whole, least, most }, Value::Number(number)) => {
            wrong_number(number, *whole, *least, *most).into_iter().for_each(say);
        }
        (shape, value) => say(wrong_type(shape, value, path)),
    }
}

fn object(shape: &Shape, map: &Map<String, Value>, path: &Path<'_>, findings: &mut Vec<Finding>) {
    let Shape::Object { properties, required, others, most } = shape else { return };
    for (name, value) in map {
        let path = Path::Field(path, name);
        match properties.get(name).or(others.as_deref()) {
            // Known, but without a value: the API server takes it as absent.
            Some(_) if value.is_null() => {}
            Some(shape) => check(shape, value, &path, findings),
            None => {
                let hint = names::hint(name, properties.keys().map(String::as_str));
                findings.push(Finding::new(path.to_string(), format!("isn't a known field; {hint}")));
            }
        }
    }
    for name in required.iter().filter(|name| map.get(name.as_str()).is_none_or(Value::is_null)) {
        findings.push(Finding::new(Path::Field(path, name).to_string(), "is missing"));
    }
    let entries = i64::try_from(map.len()).unwrap_or(i64::MAX);
    if let Some(wrong) = out_of_bounds(entries, None, *most, "entry") {
        findings.push(Finding::new(path.to_string(), wrong));
    }
}

fn items(shape: &Shape, list: &[Value], path: &Path<'_>, findings: &mut Vec<Finding>) {
    let Shape::List { items, least, most, unique } = shape else { return };
    let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
    if let Some(wrong) = out_of_bounds(length, *least, *most, "item") {
        // The items of an endless list aren't looked at: the finding says all that there is to do.
        return findings.push(Finding::new(path.to_string(), wrong));
    }
    for (index, value) in list.iter().enumerate() {
        let path = Path::Item(path, index);
        check(items, value, &path, findings);
        if let Some(first) = first_like(unique, list, index, value) {
            findings.push(Finding::new(path.to_string(), format!("is the same as item {first}; keep one")));
        }
    }
}

/// The earlier item that `value` may not be equal to.
fn first_like(unique: &Unique, list: &[Value], index: usize, value: &Value) -> Option<usize> {
    let mut before = list.iter().take(index);
    match unique {
        Unique::No => None,
        Unique::Set => before.position(|other| other == value),
        Unique::Map(keys) => before.position(|other| keys.iter().all(|key| other.get(key) == value.get(key))),
    }
}

fn not_one_of(text: &str, one_of: &[String]) -> Option<String> {
    let unknown = !one_of.is_empty() && !one_of.iter().any(|known| known == text);
    unknown.then(|| format!("{text:?} isn't known; {}", names::hint(text, one_of.iter().map(String::as_str))))
}

fn out_of_bounds(count: i64, least: Option<i64>, most: Option<i64>, unit: &str) -> Option<String> {
    let units = |count: i64| match (unit, count) {
        (unit, 1) => format!("1 {unit}"),
        ("entry", count) => format!("{count} entries"),
        (unit, count) => format!("{count} {unit}s"),
    };
    match (least, most) {
        (Some(1), _) if count == 0 => Some(format!("is empty; at least 1 {unit} is needed")),
        (Some(least), _) if count < least => {
            Some(format!("has {}; at least {least} are needed", units(count)))
        }
        (_, Some(most)) if count > most => Some(format!("has {}; at most {most} are allowed", units(count))),
        _ => None,
    }
}

fn unlike(text: &str, pattern: Option<&Pattern>) -> Option<String> {
    let pattern = pattern?;
    let regex = pattern.regex.as_ref()?;
    (!regex.is_match(text))
        .then(|| format!("{text:?} doesn't have the right form; it must match {}", pattern.source))
}

fn wrong_number(number: &Number, whole: bool, least: Option<f64>, most: Option<f64>) -> Option<String> {
    let value = number.as_f64().unwrap_or(f64::NAN);
    if whole && number.is_f64() && value.fract() != 0.0 {
        return Some(format!("{number} isn't a whole number"));
    }
    let inside = least.is_none_or(|least| value >= least) && most.is_none_or(|most| value <= most);
    if inside && !(whole && number.is_f64()) {
        return None;
    }
    Some(match (least, most) {
        _ if inside => format!("{number} must be written without a decimal point"),
        (Some(least), Some(most)) => format!("{number} is outside of {least} to {most}"),
        (Some(least), None) => format!("{number} is too small; at least {least} is needed"),
        (_, Some(most)) => format!("{number} is too large; at most {most} is allowed"),
        (None, None) => format!("{number} isn't a number"),
    })
}

fn wrong_type(shape: &Shape, value: &Value, path: &Path<'_>) -> String {
    let is = match value {
        Value::Null => "is empty",
        Value::Bool(_) => "is true or false",
        Value::Number(_) => "is a number",
        Value::String(_) => "is text",
        Value::Array(_) => "is a list",
        Value::Object(_) => "is a map of fields",
    };
    let wanted = match shape {
        Shape::Object { .. } => "a map of fields",
        Shape::List { .. } => "a list",
        Shape::Text { .. } => "text",
        Shape::Number { whole: true, .. } => "a whole number",
        Shape::Number { .. } => "a number",
        Shape::Bool => "true or false",
        Shape::NumberOrText => "a number or text",
        Shape::Any => "something",
    };
    let advice = match (shape, value) {
        // Problems are logged.
        (Shape::Text { .. }, Value::Bool(_) | Value::Number(_)) if path.is_secret() => {
            "; write it in quotes".to_owned()
        }
        (Shape::Text { .. }, Value::Bool(_) | Value::Number(_)) => {
            format!("; write it in quotes: \"{value}\"")
        }
        (Shape::Number { .. } | Shape::Bool, Value::String(text))
            if serde_json::from_str::<Value>(text).is_ok_and(|v| v.is_number() || v.is_boolean()) =>
        {
            format!("; write {text} without quotes")
        }
        (Shape::List { items, .. }, value) if !matches!(value, Value::Array(_)) && fits(items, value) => {
            "; put '- ' in front of it".to_owned()
        }
        _ => String::new(),
    };
    format!("{is}, but must be {wanted}{advice}")
}

fn fits(shape: &Shape, value: &Value) -> bool {
    let mut findings = Vec::new();
    check(shape, value, &Path::Root(""), &mut findings);
    findings.is_empty()
}
