//! One object: its spec validated, resolved and translated, or held.

use std::sync::Arc;

use crds::BackendSpec;
use dataplane_snapshot::{Key, Kind, Object, wire};

use super::certificates::{self, Certificates};
use super::findings::{Field, Findings, problem};
use super::model::{Destination, ValidBackend, ValidDestination, ValidRoute};
use super::overlap::footprints;
use super::planned::Planned;
use super::resolve::{Resolver, unresolved};
use super::secrets::{self, Secrets};
use super::{translate, validate};
use crate::{Acceptance, ObjectStatus, Observed, Problem, Refusal, RefusalReason, Spec, Unresolved};

pub(super) fn backend(
    key: &Key,
    observed: &Arc<Observed>,
    certificates: Certificates<'_>,
    secrets: Secrets<'_>,
) -> Planned {
    let spec = match &observed.spec {
        Spec::Backend(spec) => spec,
        other => return unreadable(key, observed, other),
    };
    let mut findings = Findings::default();
    validate::key(key, &mut findings);
    let is_key_good = findings.is_empty();
    let valid =
        validate::backend(spec, key.name(), &Field::SPEC, &mut findings).filter(|_| findings.is_empty());
    let named = valid.iter().flat_map(|valid| {
        let of_secret = secrets.resolve(valid, key.namespace(), &Field::SPEC);
        certificates.resolve(valid, key.namespace(), &Field::SPEC).into_iter().chain(of_secret)
    });
    let resolved_refs = unresolved(named);
    let references = valid.as_ref().map(|valid| named_by(valid, key.namespace()));
    let objects = valid.map(|valid| backend_objects(key, observed, &valid, secrets)).unwrap_or_default();
    sized(&objects, &mut findings);
    let refusal = findings.into_refusal();
    let hold = |problems: &[Problem]| vec![translate::held(key, &observed.labels, problems, None)];
    let objects = match (&refusal, without_reference(&resolved_refs)) {
        _ if !is_key_good => Vec::new(),
        (Some(refusal), _) => hold(&refusal.problems),
        (None, Some(unresolved)) => hold(&unresolved.problems),
        (None, None) => objects,
    };
    let warnings = if refusal.is_none() { warnings(spec) } else { Vec::new() };
    let accepted = refusal.map_or(Ok(Acceptance::Active), Err);
    let status = ObjectStatus { warnings, resolved_refs, ..status(key, observed, accepted, &objects) };
    Planned {
        observed: observed.clone(),
        objects,
        status: Arc::new(status),
        references: references.unwrap_or_default(),
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
    let resolved_refs = resolver.resolve(&valid, key.namespace());
    let secrets = resolver.secrets;
    let objects =
        if findings.is_empty() { route_objects(key, observed, &valid, secrets) } else { Vec::new() };
    sized(&objects, &mut findings);
    let refusal = findings.into_refusal();
    let matches = translate::matches_only(&valid, key);
    let footprints = footprints(&matches);
    let is_placeable = footprints.len() <= validate::MAX_PAIRS;
    let hold = |problems: &[Problem]| {
        let matches = is_placeable.then_some(matches);
        vec![translate::held(key, &observed.labels, problems, matches)]
    };
    let objects = match (&refusal, without_reference(&resolved_refs)) {
        _ if !spec.enabled || !is_key_good => Vec::new(),
        (Some(refusal), _) => hold(&refusal.problems),
        (None, Some(unresolved)) => hold(&unresolved.problems),
        (None, None) => objects,
    };
    let active = if spec.enabled { Acceptance::Active } else { Acceptance::Disabled };
    let accepted = refusal.map_or(Ok(active), Err);
    let status = ObjectStatus { resolved_refs, ..status(key, observed, accepted, &objects) };
    let footprints = if objects.is_empty() || !is_placeable { Vec::new() } else { footprints };
    let mirrors = valid.mirrors.iter().map(|mirror| mirror.backend.clone());
    let references = valid.destinations.iter().flat_map(|to| references(to, key.namespace()));
    let references = references.chain(mirrors).collect();
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

/// The password is an object of its own, as a private key is.
fn backend_objects<'a>(
    key: &Key,
    observed: &Observed,
    valid: &ValidBackend<'a>,
    secrets: Secrets<'a>,
) -> Vec<Object> {
    let backend = wire::Payload::Backend(translate::backend(valid, key));
    let endpoints = wire::Payload::Endpoints(translate::endpoints(valid, key.namespace()));
    let mut objects = vec![
        translate::object(key.clone(), &observed.labels, backend),
        translate::object(key.with_kind(Kind::Endpoints), &observed.labels, endpoints),
    ];
    objects.extend(secrets.password(valid, key.namespace()).map(|password| {
        let kind = Some(wire::SecretKind::Password(password.to_owned()));
        let secret = wire::Payload::Secret(wire::Secret { kind });
        translate::object(key.proxy_password(), &observed.labels, secret)
    }));
    objects
}

fn route_objects<'a>(
    key: &Key,
    observed: &Observed,
    valid: &ValidRoute<'a>,
    secrets: Secrets<'a>,
) -> Vec<Object> {
    let route = wire::Payload::Route(translate::route(valid, key));
    let mut objects = vec![translate::object(key.clone(), &observed.labels, route)];
    for destination in &valid.destinations {
        if let Destination::Inline(backend) = &destination.backend {
            let key = key.inline_backend(destination.index);
            objects.extend(backend_objects(&key, observed, backend, secrets));
        }
    }
    objects
}

/// The Backends, certificates and secrets that a destination names.
fn references(destination: &ValidDestination<'_>, namespace: &str) -> Vec<Key> {
    match &destination.backend {
        Destination::Reference(backend) => vec![backend.clone()],
        Destination::Inline(backend) => named_by(backend, namespace),
    }
}

/// The certificates and the secret that a backend names.
fn named_by(backend: &ValidBackend<'_>, namespace: &str) -> Vec<Key> {
    let mut references = certificates::references(backend, namespace);
    references.extend(secrets::reference(backend, namespace));
    references
}

/// An object that the source couldn't read. Nothing of it is known but its key.
pub(super) fn unreadable(key: &Key, observed: &Arc<Observed>, spec: &Spec) -> Planned {
    let problems = match spec {
        Spec::Invalid(problems) => problems.clone(),
        Spec::Backend(_) | Spec::Route(_) | Spec::Certificate(_) | Spec::Secret(_) => {
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

pub(super) fn status(
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

fn without_reference(resolved: &Result<(), Unresolved>) -> Option<&Unresolved> {
    resolved.as_ref().err().filter(|unresolved| unresolved.reason.holds())
}

pub(super) fn sized(objects: &[Object], findings: &mut Findings) {
    for object in objects.iter().filter(|object| !translate::fits(object)) {
        let message = format!(
            "takes {} bytes as sent to workers, at most {} are possible: split it",
            object.bytes().len(),
            Object::MAX_BYTES
        );
        findings.invalid(&Field::WHOLE, message);
    }
}

fn warnings(spec: &BackendSpec) -> Vec<Problem> {
    let at = Field::SPEC.name("targets");
    if spec.targets.is_empty() {
        return vec![problem(&at, "is empty: every request is answered with 503")];
    }
    let idle = spec.targets.iter().enumerate().filter(|(_, target)| !target.tls && target.tls_config.enabled);
    idle.map(|(index, _)| {
        let message = "does nothing: the target is called in clear text, write tls: true to call it by HTTPS";
        problem(&at.index(index).name("tlsConfig"), message)
    })
    .collect()
}
