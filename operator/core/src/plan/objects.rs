//! One object: its spec validated, resolved and translated, or held.

use std::sync::Arc;

use dataplane_snapshot::{Key, Kind, Object, wire};

use super::findings::{Field, Findings};
use super::model::{Destination, ValidBackend, ValidDestination, ValidRoute};
use super::overlap::footprints;
use super::planned::Planned;
use super::resolve::Resolver;
use super::{translate, validate};
use crate::{
    Acceptance, ObjectStatus, Observed, Problem, Refusal, RefusalReason, Spec, Unresolved, UnresolvedReason,
};

pub(super) fn backend(key: &Key, observed: &Arc<Observed>) -> Planned {
    let spec = match &observed.spec {
        Spec::Backend(spec) => spec,
        other => return unreadable(key, observed, other),
    };
    let mut findings = Findings::default();
    validate::key(key, &mut findings);
    let is_key_good = findings.is_empty();
    let valid =
        validate::backend(spec, key.name(), &Field::SPEC, &mut findings).filter(|_| findings.is_empty());
    let objects = valid.map(|valid| backend_objects(key, observed, &valid)).unwrap_or_default();
    sized(&objects, &mut findings);
    let refusal = findings.into_refusal();
    let objects = match &refusal {
        None => objects,
        Some(_) if !is_key_good => Vec::new(),
        Some(refusal) => vec![translate::held(key, &observed.labels, &refusal.problems, None)],
    };
    let warnings = if refusal.is_none() && spec.targets.is_empty() { vec![no_targets()] } else { Vec::new() };
    let accepted = refusal.map_or(Ok(Acceptance::Active), Err);
    let status = ObjectStatus { warnings, ..status(key, observed, accepted, &objects) };
    Planned {
        observed: observed.clone(),
        objects,
        status: Arc::new(status),
        references: Vec::new(),
        footprints: Vec::new(),
    }
}

pub(super) fn route(key: &Key, observed: &Arc<Observed>, resolver: &Resolver<'_>) -> Planned {
    let spec = match &observed.spec {
        Spec::Route(spec) => spec,
        other => return unreadable(key, observed, other),
    };
    let mut findings = Findings::default();
    validate::key(key, &mut findings);
    let is_key_good = findings.is_empty();
    let valid = validate::route(spec, key, &mut findings);
    let resolved_refs = resolver.resolve(&valid.destinations, &spec.listeners);
    let objects = if findings.is_empty() { route_objects(key, observed, &valid) } else { Vec::new() };
    sized(&objects, &mut findings);
    let refusal = findings.into_refusal();
    let matches = translate::matches_only(&valid, key);
    let footprints = footprints(&matches);
    let is_placeable = footprints.len() <= validate::MAX_PAIRS;
    let hold = |problems: &[Problem]| {
        let matches = is_placeable.then_some(matches);
        vec![translate::held(key, &observed.labels, problems, matches)]
    };
    let objects = match (&refusal, without_backend(&resolved_refs)) {
        _ if !spec.enabled || !is_key_good => Vec::new(),
        (Some(refusal), _) => hold(&refusal.problems),
        (None, Some(unresolved)) => hold(&unresolved.problems),
        (None, None) => objects,
    };
    let active = if spec.enabled { Acceptance::Active } else { Acceptance::Disabled };
    let accepted = refusal.map_or(Ok(active), Err);
    let status = ObjectStatus { resolved_refs, ..status(key, observed, accepted, &objects) };
    let footprints = if objects.is_empty() || !is_placeable { Vec::new() } else { footprints };
    let references = valid.destinations.iter().filter_map(ValidDestination::reference).cloned().collect();
    Planned { observed: observed.clone(), objects, status: Arc::new(status), references, footprints }
}

/// The status of an object that lost its key to another source.
pub(super) fn conflict(claim: &crate::Claim) -> ObjectStatus {
    let loser = &claim.loser;
    let message = format!(
        "{} has an object with this key too, which goes before that of {}: rename or remove one of them",
        claim.winner,
        loser.origin.owner()
    );
    let problems = vec![Problem { field: String::new(), message, place: None }];
    status(&loser.key, loser, Err(Refusal { reason: RefusalReason::Conflict, problems }), &[])
}

fn backend_objects(key: &Key, observed: &Observed, valid: &ValidBackend<'_>) -> Vec<Object> {
    let backend = wire::Payload::Backend(translate::backend(valid));
    let endpoints = wire::Payload::Endpoints(translate::endpoints(valid));
    vec![
        translate::object(key.clone(), &observed.labels, backend),
        translate::object(key.with_kind(Kind::Endpoints), &observed.labels, endpoints),
    ]
}

fn route_objects(key: &Key, observed: &Observed, valid: &ValidRoute<'_>) -> Vec<Object> {
    let route = wire::Payload::Route(translate::route(valid, key));
    let mut objects = vec![translate::object(key.clone(), &observed.labels, route)];
    for destination in &valid.destinations {
        if let Destination::Inline(backend) = &destination.backend {
            objects.extend(backend_objects(&key.inline_backend(destination.index), observed, backend));
        }
    }
    objects
}

/// An object that the source couldn't read. Nothing of it is known but its key.
fn unreadable(key: &Key, observed: &Arc<Observed>, spec: &Spec) -> Planned {
    let problems = match spec {
        Spec::Invalid(problems) => problems.clone(),
        Spec::Backend(_) | Spec::Route(_) => {
            let message = format!("this is no {}, though its key says so", key.kind());
            vec![Problem { field: String::new(), message, place: None }]
        }
    };
    let mut findings = Findings::default();
    validate::key(key, &mut findings);
    let of_key = findings.into_refusal().map(|refusal| refusal.problems);
    let objects = match of_key {
        None => vec![translate::held(key, &observed.labels, &problems, None)],
        Some(_) => Vec::new(),
    };
    let problems = of_key.into_iter().flatten().chain(problems).collect();
    let refusal = Refusal { reason: RefusalReason::Invalid, problems };
    let status = Arc::new(status(key, observed, Err(refusal), &objects));
    Planned { observed: observed.clone(), objects, status, references: Vec::new(), footprints: Vec::new() }
}

fn status(
    key: &Key,
    observed: &Observed,
    accepted: Result<Acceptance, Refusal>,
    objects: &[Object],
) -> ObjectStatus {
    ObjectStatus {
        key: key.clone(),
        owner: observed.origin.owner(),
        generation: observed.generation,
        accepted,
        resolved_refs: Ok(()),
        warnings: Vec::new(),
        objects: objects.iter().map(|object| object.key().clone()).collect(),
    }
}

fn without_backend(resolved: &Result<(), Unresolved>) -> Option<&Unresolved> {
    resolved.as_ref().err().filter(|unresolved| unresolved.reason == UnresolvedReason::BackendNotFound)
}

fn sized(objects: &[Object], findings: &mut Findings) {
    for object in objects.iter().filter(|object| !translate::fits(object)) {
        let message = format!(
            "takes {} bytes as sent to workers, at most {} are possible: split it",
            object.bytes().len(),
            Object::MAX_BYTES
        );
        findings.invalid(&Field::WHOLE, message);
    }
}

fn no_targets() -> Problem {
    let message = "is empty: every request is answered with 503".to_owned();
    Problem { field: Field::SPEC.name("targets").to_string(), message, place: None }
}
