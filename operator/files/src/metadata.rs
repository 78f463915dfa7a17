//! Which object a document is about: `apiVersion`, `kind` and `metadata`.

use std::collections::BTreeMap;

use dataplane_snapshot::{Key, Kind};
use serde_json::{Map, Value};

use crate::document::Finding;
use crate::names;

pub(crate) const API_VERSION: &str = "komainu.dev/v1alpha1";
const KINDS: [(&str, Kind); 2] = [("Backend", Kind::Backend), ("Route", Kind::Route)];
const TOP: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];
const METADATA: [&str; 4] = ["name", "namespace", "labels", "annotations"];
/// What an API server adds; allowed so that `kubectl get -o yaml > file` gives a good file.
const SERVER_SET: [&str; 10] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "uid",
];

/// What `metadata` says, and what is wrong with it although the object's name is known.
pub(crate) struct Identity {
    pub(crate) key: Key,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) findings: Vec<Finding>,
}

/// Why a document gives no object.
pub(crate) struct Unidentified {
    pub(crate) findings: Vec<Finding>,
    /// Neither its group nor its kind is ours, so it can't be one of our objects with a slip in its head.
    pub(crate) foreign: bool,
}

pub(crate) fn identify(document: &Map<String, Value>) -> Result<Identity, Unidentified> {
    let kind = kind(document)?;
    let mut findings = unknown_fields(document, "", &TOP, &["status"]);
    let metadata = match document.get("metadata") {
        Some(Value::Object(metadata)) => metadata,
        Some(_) => return Err(ours("metadata", "must have fields, at least name")),
        None => return Err(ours("metadata", "is missing; write at least metadata.name")),
    };
    let name = name(metadata)?;
    let namespace = namespace(metadata)?;
    findings.extend(unknown_fields(metadata, "metadata", &METADATA, &SERVER_SET));
    let labels = strings(metadata, "labels", &mut findings);
    check_labels(&labels, &mut findings);
    strings(metadata, "annotations", &mut findings);
    Ok(Identity { key: Key::new(kind, namespace, name), labels, findings })
}

fn ours(field: &str, message: impl Into<String>) -> Unidentified {
    Unidentified { findings: vec![Finding::new(field, message)], foreign: false }
}

fn kind(document: &Map<String, Value>) -> Result<Kind, Unidentified> {
    let text = |field| document.get(field).and_then(Value::as_str);
    let (version, kind) = (text("apiVersion"), text("kind"));
    let known = kind.and_then(|kind| KINDS.iter().find(|(name, _)| *name == kind));
    let group = version.and_then(|version| version.split('/').next());
    let foreign = known.is_none() && kind.is_some() && group.is_some_and(|group| group != crds::GROUP);
    let mut findings = Vec::new();
    if version != Some(API_VERSION) {
        let wrong = match version {
            Some(version) => format!("{version:?} isn't known; write {API_VERSION}"),
            None => format!("is missing; write {API_VERSION}"),
        };
        findings.push(Finding::new("apiVersion", wrong));
    }
    let names = KINDS.map(|(name, _)| name);
    match (known, kind) {
        (Some((_, kind)), _) if findings.is_empty() => return Ok(*kind),
        (Some(_), _) => {}
        (None, Some(kind)) => {
            let message = format!("{kind:?} isn't known; {}", names::hint(kind, names));
            findings.push(Finding::new("kind", message));
        }
        (None, None) => findings.push(Finding::new(
            "kind",
            format!("is missing or isn't text; known are {}", names::list(names)),
        )),
    }
    Err(Unidentified { findings, foreign })
}

fn name(metadata: &Map<String, Value>) -> Result<&str, Unidentified> {
    let name = match metadata.get("name") {
        Some(Value::String(name)) => name,
        Some(Value::Null) | None => {
            return Err(ours("metadata.name", "is missing; every object needs a name"));
        }
        Some(_) => return Err(ours("metadata.name", "must be text; write it in quotes")),
    };
    if is_name(name) {
        return Ok(name);
    }
    let rule = "use lower-case letters, digits, '-' and '.', at most 253, and begin and end each part between dots \
                with a letter or digit";
    Err(ours("metadata.name", format!("{name:?} can't be a name; {rule}")))
}

fn namespace(metadata: &Map<String, Value>) -> Result<&str, Unidentified> {
    match metadata.get("namespace") {
        None | Some(Value::Null) => Ok("default"),
        Some(Value::String(namespace)) if namespace.len() <= 63 && is_label(namespace) => Ok(namespace),
        Some(Value::String(namespace)) => {
            let rule = "use lower-case letters, digits and '-', at most 63, and begin and end with a letter or digit";
            Err(ours("metadata.namespace", format!("{namespace:?} can't be a namespace; {rule}")))
        }
        Some(_) => Err(ours("metadata.namespace", "must be text; write it in quotes")),
    }
}

/// A DNS-1123 subdomain (RFC 1123, 2.1).
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// A part of a DNS-1123 subdomain (RFC 1123, 2.1), without the limit of 63 that Kubernetes doesn't set on parts either.
fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn unknown_fields(
    map: &Map<String, Value>,
    path: &str,
    known: &[&'static str],
    quiet: &[&str],
) -> Vec<Finding> {
    let unknown = map.keys().filter(|field| {
        let field = field.as_str();
        !known.contains(&field) && !quiet.contains(&field)
    });
    unknown
        .map(|field| {
            let path = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
            Finding::new(path, format!("isn't a known field; {}", names::hint(field, known.iter().copied())))
        })
        .collect()
}

/// A map of text to text, as labels and annotations are.
fn strings(
    metadata: &Map<String, Value>,
    field: &str,
    findings: &mut Vec<Finding>,
) -> BTreeMap<String, String> {
    let entries = match metadata.get(field) {
        None | Some(Value::Null) => return BTreeMap::new(),
        Some(Value::Object(entries)) => entries,
        Some(_) => {
            findings.push(Finding::new(format!("metadata.{field}"), "must be a map of names to text"));
            return BTreeMap::new();
        }
    };
    let mut strings = BTreeMap::new();
    for (key, value) in entries {
        match value {
            Value::String(value) => drop(strings.insert(key.clone(), value.clone())),
            _ => findings
                .push(Finding::new(format!("metadata.{field}[{key:?}]"), "must be text; write it in quotes")),
        }
    }
    strings
}

/// Kubernetes' syntax of labels: `[prefix/]name`, name and value at most 63 of letters, digits, `-`, `_` and `.`.
fn check_labels(labels: &BTreeMap<String, String>, findings: &mut Vec<Finding>) {
    for (key, value) in labels {
        let (prefix, name) = key.split_once('/').map_or((None, key.as_str()), |(p, name)| (Some(p), name));
        let prefix_is_good = prefix.is_none_or(|p| p.len() <= 253 && p.split('.').all(is_label));
        if !prefix_is_good || name.is_empty() || !is_label_text(name) || !is_label_text(value) {
            let rule =
                "use at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends";
            findings.push(Finding::new(
                format!("metadata.labels[{key:?}]"),
                format!("{key:?}: {value:?} can't be a label; {rule}"),
            ));
        }
    }
}

fn is_label_text(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && ends(text.chars().next())
        && ends(text.chars().next_back())
}
