//! One document: YAML to an object, or what is wrong with it. Places are within the document.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane_snapshot::{Key, Kind};
use serde_json::{Map, Value};
use serde_saphyr::{Error, MessageFormatter as _, Options};

use crate::metadata::{self, Identity, Unidentified};
use crate::{locate, schema};

/// What one document gives.
#[derive(Clone, Debug)]
pub(crate) enum Reading {
    /// Only `null`.
    Empty,
    /// Isn't YAML.
    Broken(Finding),
    /// Which object it is can't be told.
    Unidentified {
        findings: Vec<Finding>,
        foreign: bool,
    },
    Object {
        key: Key,
        labels: BTreeMap<String, String>,
        spec: Content,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Backend(Arc<crds::BackendSpec>),
    Route(Arc<crds::RouteSpec>),
    Invalid(Vec<Finding>),
}

/// A problem whose place is counted within the document, so that it stays true when the document moves in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) field: String,
    pub(crate) message: String,
    /// Line and column, from 1.
    pub(crate) at: Option<(u64, u64)>,
}

impl Finding {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), at: None }
    }
}

/// Limits against documents that are built to exhaust memory or time. Per document; a Backend with 1,000 targets needs
/// about 20,000 nodes.
pub(crate) fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: 200_000,
            max_events: 500_000,
            max_depth: 64,
            max_anchors: 1_000,
            max_aliases: 1_000,
            max_merge_keys: 1_000,
            max_total_scalar_bytes: 8 * 1024 * 1024,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 16,
            max_alias_expansions_per_anchor: 1_000,
        },
        emit_comments: false,
        with_snippet: false,
    }
}

pub(crate) fn read(text: &str) -> Reading {
    match serde_saphyr::from_str_with_options::<Value>(text, options()) {
        Ok(Value::Null) => Reading::Empty,
        Ok(Value::Object(document)) => object(text, document),
        Ok(_) => {
            let message = "a document must have the fields apiVersion, kind, metadata and spec";
            let findings = placed(text, vec![Finding::new("", message)]);
            Reading::Unidentified { findings, foreign: false }
        }
        Err(error) => Reading::Broken(broken(&error)),
    }
}

fn object(text: &str, mut document: Map<String, Value>) -> Reading {
    let Identity { key, labels, mut findings } = match metadata::identify(&document) {
        Ok(identity) => identity,
        Err(Unidentified { findings, foreign }) => {
            return Reading::Unidentified { findings: placed(text, findings), foreign };
        }
    };
    let spec = document.remove("spec").unwrap_or_default();
    let spec = match content(key.kind(), spec, &mut findings) {
        Some(spec) if findings.is_empty() => spec,
        _ => Content::Invalid(placed(text, findings)),
    };
    Reading::Object { key, labels, spec }
}

fn content(kind: Kind, mut spec: Value, findings: &mut Vec<Finding>) -> Option<Content> {
    if spec.is_null() {
        findings.push(Finding::new("spec", "is missing; it says what the object is"));
        return None;
    }
    let before = findings.len();
    schema::check(kind, &spec, findings);
    if findings.len() > before {
        return None;
    }
    leave_out_nulls(&mut spec);
    let typed = match kind {
        Kind::Backend => serde_json::from_value(spec).map(|spec| Content::Backend(Arc::new(spec))),
        _ => serde_json::from_value(spec).map(|spec| Content::Route(Arc::new(spec))),
    };
    typed.map_err(|error| findings.push(Finding::new("spec", error.to_string()))).ok()
}

/// A known field without a value is as if it weren't there, as for the API server.
fn leave_out_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(leave_out_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(leave_out_nulls),
        _ => {}
    }
}

/// Finds the places, in the order in which a reader meets them.
fn placed(text: &str, mut findings: Vec<Finding>) -> Vec<Finding> {
    let tree = locate::Tree::parse(text);
    for finding in &mut findings {
        finding.at = tree.as_ref().and_then(|tree| tree.find(&finding.field));
    }
    findings.sort_by_key(|finding| finding.at);
    findings
}

fn broken(error: &Error) -> Finding {
    let mut inner = error.without_snippet();
    while let Error::AliasError { error, .. } = inner {
        inner = error.without_snippet();
    }
    let message = match inner {
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the field {key} is there twice; keep one")
        }
        Error::DuplicateMappingKey { key: None, .. } => "a field is there twice; keep one".to_owned(),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "the document is too large or too deep, or repeats too much through anchors; split it".to_owned()
        }
        other => format!("isn't YAML: {}", serde_saphyr::DefaultMessageFormatter.format_message(other)),
    };
    let at = error.location().map(|location| (location.line(), location.column()));
    Finding { field: String::new(), message, at: at.filter(|(line, _)| *line > 0) }
}
