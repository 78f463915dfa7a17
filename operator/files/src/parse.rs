//! One file's text to its objects and problems. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use dataplane_snapshot::Key;
use operator_core::{Place, Problem, Spec};

use crate::certificate::Material;
use crate::chunk::{self, Chunk};
use crate::document::{self, Content, Finding, Reading};

/// What a file gives.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    pub objects: Vec<Object>,
    /// What no object can carry in its [`Spec::Invalid`]: documents of which it can't be told what object they are.
    pub problems: Vec<Problem>,
    /// Whether one of those documents may be an object of ours with a slip in its head, so that what is missing may only
    /// be misspelt.
    pub doubtful: bool,
    /// Of a file in a folder `certificates`.
    pub(crate) material: Option<Arc<Material>>,
    /// Of a file in a folder of `secrets`.
    pub(crate) secret: Option<SecretText>,
    text: Arc<str>,
    documents: Vec<(Chunk, Arc<Reading>)>,
}

/// What a file of a secret says. Never shown.
#[derive(Clone)]
pub(crate) struct SecretText(pub(crate) Arc<str>);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// An object as a document has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    pub key: Key,
    pub labels: BTreeMap<String, String>,
    pub spec: Spec,
    /// Where the document starts.
    pub place: Place,
}

/// Reads all documents of `text`; `file` is its name for people. `before` is what the file gave last time: the specs of
/// documents whose text is the same are taken from it.
///
/// # Errors
/// If a document isn't YAML: a problem for each such document.
pub fn parse(file: &Arc<str>, text: Arc<str>, before: Option<&Parsed>) -> Result<Parsed, Vec<Problem>> {
    let known = before.map(Parsed::by_text).unwrap_or_default();
    let mut parsed = Parsed::default();
    let mut broken = Vec::new();
    for chunk in chunk::split(&text) {
        let part = text.get(chunk.range.clone()).unwrap_or_default();
        let reading =
            known.get(part).map_or_else(|| Arc::new(document::read(part)), |reading| Arc::clone(reading));
        let problem = |finding: &Finding| at_place(file, &chunk, finding);
        match &*reading {
            Reading::Empty => {}
            Reading::Broken(finding) => broken.push(problem(finding)),
            Reading::Unidentified { findings, foreign } => {
                parsed.problems.extend(findings.iter().map(problem));
                parsed.doubtful |= !foreign;
            }
            Reading::Object { key, labels, spec } => parsed.objects.push(Object {
                key: key.clone(),
                labels: labels.clone(),
                spec: match spec {
                    Content::Backend(spec) => Spec::Backend(Arc::clone(spec)),
                    Content::Route(spec) => Spec::Route(Arc::clone(spec)),
                    Content::Invalid(findings) => Spec::Invalid(findings.iter().map(problem).collect()),
                },
                place: Place { file: Arc::clone(file), line: chunk.start.0, column: chunk.start.1 },
            }),
        }
        parsed.documents.push((chunk, reading));
    }
    if !broken.is_empty() {
        return Err(broken);
    }
    parsed.text = text;
    Ok(parsed)
}

impl Parsed {
    fn by_text(&self) -> HashMap<&str, &Arc<Reading>> {
        let part = |chunk: &Chunk| self.text.get(chunk.range.clone());
        self.documents.iter().filter_map(|(chunk, reading)| Some((part(chunk)?, reading))).collect()
    }

    /// Takes over the objects of `before` that aren't in here.
    pub(crate) fn keep_missing(&mut self, before: Option<&Self>) {
        let here: HashSet<_> = self.objects.iter().map(|object| object.key.clone()).collect();
        let before = before.into_iter().flat_map(|before| &before.objects);
        self.objects.extend(before.filter(|object| !here.contains(&object.key)).cloned());
    }

    /// Of no text of its own.
    pub(crate) fn of(objects: Vec<Object>) -> Self {
        Self { objects, ..Self::default() }
    }

    pub(crate) fn of_material(material: Material) -> Self {
        Self { material: Some(Arc::new(material)), ..Self::default() }
    }

    pub(crate) fn of_secret(text: &str) -> Self {
        Self { secret: Some(SecretText(text.into())), ..Self::default() }
    }

    /// The text of the file when it was read.
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn at_place(file: &Arc<str>, chunk: &Chunk, finding: &Finding) -> Problem {
    let (line, column) = match finding.at {
        Some((line, column)) => (line + chunk.lines_before, column),
        None => chunk.start,
    };
    Problem {
        field: finding.field.clone(),
        message: finding.message.clone(),
        place: Some(Place { file: Arc::clone(file), line, column }),
    }
}

/// The problem of a file as a whole.
pub(crate) fn file_problem(file: &Arc<str>, message: impl Into<String>) -> Problem {
    let place = Place { file: Arc::clone(file), line: 1, column: 1 };
    Problem { field: String::new(), message: message.into(), place: Some(place) }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
