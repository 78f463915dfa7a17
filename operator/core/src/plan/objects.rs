//! One object: its spec validated, resolved and translated, or held.

use std::collections::BTreeSet;
use std::sync::Arc;

use crds::BackendSpec;
use dataplane_snapshot::{Key, Kind, Object, wire};

use super::findings::{Field, Findings, problem};
use super::model::{Destination, ValidBackend, ValidDestination, ValidRoute};
use super::overlap::footprints;
use super::planned::Planned;
use super::resolve::{Nameable, Resolver, named_backend, references, unresolved};
use super::{translate, validate};
use crate::{Acceptance, ObjectStatus, Observed, Problem, Refusal, RefusalReason, Spec, Targets, Unresolved};

pub(super) fn backend(key: &Key, observed: &Arc<Observed>, nameable: Nameable<'_>) -> Planned {
    let spec = match &observed.spec {
        Spec::Backend(spec) => spec,
        other => return unreadable(key, observed, other),
    };
    let mut findings = Findings::default();
    validate::key(key, &mut findings);
    let is_key_good = findings.is_empty();
    let valid = validate::backend(spec, key, &Field::SPEC, &mut findings).filter(|_| findings.is_empty());
    if let Some(valid) = &valid {
        nameable.services.check(valid, &Field::SPEC, &mut findings);
    }
    let resolved_refs = unresolved(valid.iter().flat_map(|valid| nameable.resolve(valid, key, &Field::SPEC)));
    let references = valid.as_ref().map(|valid| references(valid, key)).unwrap_or_default();
    let doubted = valid.as_ref().map(|valid| nameable.services.doubted(valid, key, &Field::SPEC));
    let given = valid.map(|valid| backend_objects(key, key, observed, &valid, nameable));
    let given = given.map(|(objects, targets)| Given { objects, targets: vec![targets] }).unwrap_or_default();
    sized(&given.objects, &mut findings);
    let refusal = findings.into_refusal();
    let hold = |problems: &[Problem]| Given::only(translate::held(key, &observed.labels, problems, None));
    let Given { objects, targets } = match (&refusal, without_reference(&resolved_refs)) {
        _ if !is_key_good => Given::default(),
        (Some(refusal), _) => hold(&refusal.problems),
        (None, Some(unresolved)) => hold(&unresolved.problems),
        (None, None) => given,
    };
    let mut warnings = if refusal.is_none() { warnings(spec) } else { Vec::new() };
    warnings.extend(doubted.filter(|_| refusal.is_none()).into_iter().flatten());
    let accepted = refusal.map_or(Ok(Acceptance::Active), Err);
    let status =
        ObjectStatus { warnings, resolved_refs, targets, ..status(key, observed, accepted, &objects) };
    Planned {
        observed: observed.clone(),
        objects,
        status: Arc::new(status),
        references,
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
    let mut valid = validate::route(spec, key, &mut findings);
    resolver.check(&valid, &mut findings);
    let resolved_refs = resolver.resolve(&valid, key);
    let references = named_by(&valid, key);
    resolver.withhold(&mut valid, key);
    let nameable = resolver.nameable;
    let given =
        if findings.is_empty() { route_objects(key, observed, &valid, nameable) } else { Given::default() };
    sized(&given.objects, &mut findings);
    let refusal = findings.into_refusal();
    let matches = translate::matches_only(&valid, key);
    let footprints = footprints(&matches);
    let is_placeable = footprints.len() <= validate::MAX_PAIRS;
    let hold = |problems: &[Problem]| {
        let matches = is_placeable.then_some(matches);
        Given::only(translate::held(key, &observed.labels, problems, matches))
    };
    let Given { objects, targets } = match (&refusal, without_reference(&resolved_refs)) {
        _ if !spec.enabled || !is_key_good => Given::default(),
        (Some(refusal), _) => hold(&refusal.problems),
        (None, Some(unresolved)) => hold(&unresolved.problems),
        (None, None) => given,
    };
    let active = if spec.enabled { Acceptance::Active } else { Acceptance::Disabled };
    let accepted = refusal.map_or(Ok(active), Err);
    let mut status = ObjectStatus { resolved_refs, targets, ..status(key, observed, accepted, &objects) };
    if status.accepted.is_ok() {
        status.warnings = resolver.doubted(&valid, key);
    }
    if !objects.is_empty() && !status.is_held() {
        status.destinations = destinations(&valid, key);
        status.backends = backends(&valid);
    }
    let footprints = if objects.is_empty() || !is_placeable { Vec::new() } else { footprints };
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

/// What an object gives to the snapshot.
#[derive(Default)]
struct Given {
    objects: Vec<Object>,
    targets: Vec<Targets>,
}

impl Given {
    fn only(object: Object) -> Self {
        Self { objects: vec![object], targets: Vec::new() }
    }
}

/// The password is an object of its own, as a private key is. `user` is the object that has the backend.
fn backend_objects<'a>(
    key: &Key,
    user: &Key,
    observed: &Observed,
    valid: &ValidBackend<'a>,
    nameable: Nameable<'a>,
) -> (Vec<Object>, Targets) {
    let backend = wire::Payload::Backend(translate::backend(valid, key));
    let endpoints = translate::endpoints(valid, user, nameable);
    let targets = Targets::new(key.clone(), valid.health_check.is_some(), &endpoints);
    let endpoints = wire::Payload::Endpoints(endpoints);
    let mut objects = vec![
        translate::object(key.clone(), &observed.labels, backend),
        translate::object(key.with_kind(Kind::Endpoints), &observed.labels, endpoints),
    ];
    objects.extend(nameable.secrets.password(valid, key.namespace()).map(|password| {
        let kind = Some(wire::SecretKind::Password(password.to_owned()));
        let secret = wire::Payload::Secret(wire::Secret { kind });
        translate::object(key.proxy_password(), &observed.labels, secret)
    }));
    (objects, targets)
}

fn route_objects<'a>(
    key: &Key,
    observed: &Observed,
    valid: &ValidRoute<'a>,
    nameable: Nameable<'a>,
) -> Given {
    let route = wire::Payload::Route(translate::route(valid, key));
    let mut given = Given::only(translate::object(key.clone(), &observed.labels, route));
    for destination in &valid.destinations {
        if let Destination::Inline(backend) = &destination.backend {
            let its = key.inline_backend(destination.index);
            let (objects, targets) = backend_objects(&its, key, observed, backend, nameable);
            given.objects.extend(objects);
            given.targets.push(targets);
        }
    }
    given
}

/// Where the requests of a route go.
fn destinations(valid: &ValidRoute<'_>, route: &Key) -> Vec<Key> {
    let with_share = valid.destinations.iter().filter(|destination| destination.weight > 0);
    let backend = |destination: &ValidDestination<'_>| match &destination.backend {
        Destination::Reference(backend) => backend.clone(),
        // For one that is withheld the route names a backend that there isn't.
        Destination::Inline(_) | Destination::Withheld => route.inline_backend(destination.index),
    };
    with_share.map(backend).collect()
}

/// The Backends that a route names, each once.
fn backends(valid: &ValidRoute<'_>) -> Vec<Key> {
    let named = valid.destinations.iter().filter_map(ValidDestination::reference);
    let copied_to = valid.mirrors.iter().map(|mirror| &mirror.backend);
    let all: BTreeSet<&Key> = named.chain(copied_to).collect();
    all.into_iter().cloned().collect()
}

/// The keys of all that a route names, and of what it depends on besides.
fn named_by(route: &ValidRoute<'_>, key: &Key) -> Vec<Key> {
    let of_destination = |destination: &ValidDestination<'_>| match &destination.backend {
        Destination::Reference(backend) => named_backend(backend, key).collect(),
        Destination::Inline(backend) => references(backend, key),
        Destination::Withheld => Vec::new(),
    };
    let mirrors = route.mirrors.iter().flat_map(|mirror| named_backend(&mirror.backend, key));
    route.destinations.iter().flat_map(of_destination).chain(mirrors).collect()
}

/// An object that the source couldn't read. Nothing of it is known but its key.
pub(super) fn unreadable(key: &Key, observed: &Arc<Observed>, spec: &Spec) -> Planned {
    let problems = match spec {
        Spec::Invalid(problems) => problems.clone(),
        _ => {
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
        uid: observed.uid.clone(),
        accepted,
        resolved_refs: Ok(()),
        warnings: Vec::new(),
        overlaps: Vec::new(),
        objects: objects.iter().map(|object| object.key().clone()).collect(),
        targets: Vec::new(),
        destinations: Vec::new(),
        backends: Vec::new(),
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
