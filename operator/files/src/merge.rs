//! The objects of all files together. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane_snapshot::Kind;
pub(crate) use operator_core::ObservedMap as Objects;
use operator_core::{Observed, Origin, Problem, Spec};

use crate::parse::{Object, Parsed};

pub(crate) struct Merged {
    pub(crate) objects: Objects,
    /// An object for each that lost its key to an earlier file or document.
    pub(crate) duplicates: Vec<Problem>,
    /// The kinds of which an object came, changed or went, with the number of this change.
    pub(crate) changed: BTreeMap<Kind, u64>,
}

/// Joins the files in their order; of two objects with one key the first stays. Objects of `going` files only fill gaps.
///
/// An object that is as in `before` keeps its `Arc`; one that only moved keeps its spec and generation. The generation of
/// what is new or changed is a number from `next`, so that it also grows over a restart.
pub(crate) fn merge(
    files: &[&Parsed],
    going: &[&Parsed],
    before: &Objects,
    next: &mut dyn FnMut() -> u64,
) -> Merged {
    let mut number = None;
    let mut number = || *number.get_or_insert_with(&mut *next);
    let mut merged = Merged { objects: Objects::new(), duplicates: Vec::new(), changed: BTreeMap::new() };
    let here = files.iter().flat_map(|parsed| &parsed.objects).map(|object| (object, true));
    let there = going.iter().flat_map(|parsed| &parsed.objects).map(|object| (object, false));
    for (object, stays) in here.chain(there) {
        if let Some(first) = merged.objects.get(&object.key) {
            merged.duplicates.extend(stays.then(|| duplicate(object, first)));
            continue;
        }
        let observed = before.get(&object.key).and_then(|old| unchanged(old, object)).unwrap_or_else(|| {
            let number = number();
            merged.changed.insert(object.key.kind(), number);
            observed(object, object.spec.clone(), i64::try_from(number).unwrap_or(i64::MAX))
        });
        merged.objects.insert(object.key.clone(), observed);
    }
    for key in before.keys().filter(|key| !merged.objects.contains_key(*key)) {
        merged.changed.insert(key.kind(), number());
    }
    // What is as before is shared with it, so that who follows finds the differences without looking at the rest.
    let mut objects = before.clone();
    let changes = before.differences(&merged.objects, Arc::ptr_eq);
    objects.apply(changes.map(|(key, _, observed)| (key.clone(), observed.cloned())));
    Merged { objects, ..merged }
}

/// What `object` is if it says the same as `old`.
fn unchanged(old: &Arc<Observed>, object: &Object) -> Option<Arc<Observed>> {
    if old.labels != object.labels || !says_the_same(&old.spec, &object.spec) {
        return None;
    }
    let at_its_place = matches!(&old.origin, Origin::File(place) if *place == object.place);
    match &object.spec {
        Spec::Invalid(_) if old.spec != object.spec => {
            Some(observed(object, object.spec.clone(), old.generation))
        }
        _ if at_its_place => Some(Arc::clone(old)),
        _ => Some(observed(object, old.spec.clone(), old.generation)),
    }
}

/// Whether two specs are equal but for the places of their problems.
fn says_the_same(one: &Spec, other: &Spec) -> bool {
    match (one, other) {
        (Spec::Backend(one), Spec::Backend(other)) => Arc::ptr_eq(one, other) || one == other,
        (Spec::Route(one), Spec::Route(other)) => Arc::ptr_eq(one, other) || one == other,
        (Spec::Certificate(one), Spec::Certificate(other)) => Arc::ptr_eq(one, other) || one == other,
        (Spec::Secret(one), Spec::Secret(other)) => Arc::ptr_eq(one, other) || one == other,
        (Spec::Invalid(one), Spec::Invalid(other)) => {
            let said = |problems: &[Problem]| -> Vec<(String, String)> {
                problems.iter().map(|problem| (problem.field.clone(), problem.message.clone())).collect()
            };
            said(one) == said(other)
        }
        _ => false,
    }
}

fn observed(object: &Object, spec: Spec, generation: i64) -> Arc<Observed> {
    Arc::new(Observed {
        key: object.key.clone(),
        spec,
        labels: object.labels.clone(),
        generation,
        uid: String::new(),
        origin: Origin::File(object.place.clone()),
    })
}

fn duplicate(object: &Object, first: &Observed) -> Problem {
    let place = match &first.origin {
        Origin::File(place) => place.to_string(),
        _ => String::new(),
    };
    Problem {
        field: "metadata.name".to_owned(),
        message: format!(
            "{} is there already, at {place}, which counts; rename or remove one of the two",
            object.key
        ),
        place: Some(object.place.clone()),
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
