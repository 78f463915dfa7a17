//! Routes that take the same requests: the one that goes first gets them all, and the other one's author should know.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use dataplane_snapshot::{Key, Kind, SharedMap, wire};

use super::findings::{Field, problem};
use super::planned::{Change, Pass, Planned};
use crate::Problem;

/// One host and path of a match with its conditions, as a hash. A hash that two share by chance costs a wrong word of an overlap,
/// nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// Which routes have which footprint, in the order of their keys, which is their order of precedence where host, path and
/// conditions are equal.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims(SharedMap<(u64, Key), ()>);

impl Claims {
    /// Brings it up to what has changed. Gives the routes whose overlaps may be others now, those that went included.
    pub(super) fn update(&mut self, changes: &[Change]) -> BTreeSet<Key> {
        let is_first = self.0.is_empty();
        let hashes = |planned: &Planned| {
            planned.footprints.iter().map(|footprint| footprint.hash).collect::<BTreeSet<_>>()
        };
        let claims = |change: &Change, planned: Option<&Planned>| {
            let hashes = planned.map(hashes).unwrap_or_default();
            let key = change.key.clone();
            hashes.into_iter().map(move |hash| (hash, key.clone()))
        };
        let gone = || changes.iter().flat_map(|change| claims(change, change.old.as_deref()));
        let came = || changes.iter().flat_map(|change| claims(change, change.new.as_deref()));
        self.0.apply(gone().map(|claim| (claim, None)).chain(came().map(|claim| (claim, Some(())))));
        let mut affected: BTreeSet<Key> = changes.iter().map(|change| change.key.clone()).collect();
        if !is_first {
            let touched: BTreeSet<u64> = gone().chain(came()).map(|(hash, _)| hash).collect();
            affected.extend(touched.into_iter().flat_map(|hash| self.of(hash)).cloned());
        }
        affected
    }

    /// The routes with one footprint, in the order of their keys.
    fn of(&self, hash: u64) -> impl Iterator<Item = &Key> {
        let from = (hash, Key::new(Kind::ALL[0], "", ""));
        let claims = self.0.range_from(&from).map(|(claim, ())| claim);
        claims.take_while(move |(other, _)| *other == hash).map(|(_, route)| route)
    }

    /// What the author of this route should know: which of its matches are shadowed by which route.
    pub(super) fn overlaps(
        &self,
        planned: &Planned,
        routes: &Pass,
        listeners: &BTreeSet<String>,
    ) -> Vec<Problem> {
        let mut footprints = planned.footprints.clone();
        footprints.sort_unstable();
        let (mut overlaps, mut told) = (Vec::new(), BTreeSet::new());
        for same in footprints.chunk_by(|a, b| a.hash == b.hash) {
            let Some(first) = same.first() else { continue };
            // The usual case: nobody else wants these requests.
            if self.of(first.hash).nth(1).is_none() {
                continue;
            }
            for listener in listeners.iter().filter(|name| takes_from(planned, name)) {
                let mut claimants = self.of(first.hash).filter_map(|route| routes.get(route));
                let Some(winner) = claimants.find(|route| takes_from(route, listener)) else { continue };
                for Footprint { place, .. } in same.iter().filter(|_| winner.key() != planned.key()) {
                    if told.insert((*place, winner.key())) {
                        overlaps.push(shadowed(*place, winner));
                    }
                }
            }
        }
        overlaps
    }
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
