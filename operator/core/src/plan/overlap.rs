//! Routes that take the same requests: the one that goes first gets them all, and the other one's author should know.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;

use dataplane_snapshot::wire;

use super::findings::{Field, problem};
use super::planned::Planned;
use crate::Problem;

/// One host and path of a match with its conditions, as a hash. A hash that two share by chance costs a wrong warning,
/// nothing else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Footprint {
    hash: u64,
    /// Index of the match in the wire form.
    place: u32,
}

/// The footprints of a route: every host with every path of every match. Conditions count regardless of their order.
pub(super) fn footprints(route: &wire::Route) -> Vec<Footprint> {
    let matches = route.rules.iter().flat_map(|rule| &rule.matches);
    (0..)
        .zip(matches)
        .flat_map(|(place, one)| of_match(one).map(move |hash| Footprint { hash, place }))
        .collect()
}

fn of_match(one: &wire::Match) -> impl Iterator<Item = u64> {
    let conditions = hash_of(&(
        one.methods.iter().collect::<BTreeSet<_>>(),
        [&one.headers, &one.query, &one.cookies].map(|conditions| {
            conditions.iter().map(|it| (&it.name, it.kind, &it.value)).collect::<BTreeSet<_>>()
        }),
    ));
    let hosts: Vec<u64> = or_any(one.hostnames.iter().map(hash_of));
    let paths: Vec<u64> = or_any(one.paths.iter().map(|path| hash_of(&(path.kind, &path.pattern))));
    hosts
        .into_iter()
        .flat_map(move |host| paths.clone().into_iter().map(move |path| hash_of(&(host, path, conditions))))
}

fn or_any(hashes: impl Iterator<Item = u64>) -> Vec<u64> {
    let hashes: Vec<u64> = hashes.collect();
    if hashes.is_empty() { vec![0] } else { hashes }
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The warnings for each route of `routes` that is shadowed, by its index. `routes` are in the order of their keys, which is
/// their order of precedence where host, path and conditions are equal.
pub(super) fn warnings(
    routes: &[Arc<Planned>],
    listeners: &BTreeSet<String>,
) -> BTreeMap<usize, Vec<Problem>> {
    let mut claims = Vec::with_capacity(routes.len());
    for (index, planned) in routes.iter().enumerate() {
        for (listener, _) in listeners.iter().enumerate().filter(|(_, name)| takes_from(planned, name)) {
            claims.extend(planned.footprints.iter().map(|it| (it.hash, listener, index, it.place)));
        }
    }
    claims.sort_unstable();
    let mut warnings = BTreeMap::<usize, Vec<Problem>>::new();
    let mut told = BTreeSet::new();
    for group in claims.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let Some(&(_, _, first, _)) = group.first() else { continue };
        for &(_, _, index, place) in group.iter().filter(|claim| claim.2 != first) {
            if let (Some(winner), true) = (routes.get(first), told.insert((index, place, first))) {
                warnings.entry(index).or_default().push(shadowed(place, winner));
            }
        }
    }
    warnings
}

fn takes_from(planned: &Planned, listener: &str) -> bool {
    match &planned.observed.spec {
        crate::Spec::Route(spec) => {
            spec.listeners.is_empty() || spec.listeners.iter().any(|name| name == listener)
        }
        _ => false,
    }
}

fn shadowed(place: u32, winner: &Planned) -> Problem {
    let at = Field::SPEC.name("matches");
    let key = winner.key();
    let message = format!(
        "Route {}/{} has a match with the same host, path and conditions and goes first: change one of them",
        key.namespace(),
        key.name()
    );
    problem(&at.index(usize::try_from(place).unwrap_or_default()), message)
}
