use crds::PathType;
use dataplane_snapshot::{Key, wire};

use super::precedence;
use crate::plan::model::{
    Destination, ValidCondition, ValidDestination, ValidMatch, ValidMirror, ValidRoute,
};

pub(in crate::plan) fn route(route: &ValidRoute<'_>, key: &Key) -> wire::Route {
    let mut wire = matches_only(route, key);
    for rule in &mut wire.rules {
        rule.filters.clone_from(&route.filters);
        rule.filters.extend(route.mirrors.iter().map(mirror));
        rule.destinations = route.destinations.iter().map(|one| destination(one, key)).collect();
    }
    wire
}

fn mirror(mirror: &ValidMirror) -> wire::Filter {
    let mirror = wire::RequestMirror { backend: mirror.backend.to_string(), share: mirror.share };
    wire::FilterSettings::Mirror(mirror).of(wire::FilterKind::Mirror)
}

fn destination(destination: &ValidDestination<'_>, key: &Key) -> wire::Destination {
    let backend = match &destination.backend {
        Destination::Reference(backend) => backend.to_string(),
        // Of one that is withheld there is no such object.
        Destination::Inline(_) | Destination::Withheld => key.inline_backend(destination.index).to_string(),
    };
    wire::Destination { backend, weight: destination.weight, filters: Vec::new() }
}

/// As much of the wire form as says which requests it takes.
pub(in crate::plan) fn matches_only(route: &ValidRoute<'_>, key: &Key) -> wire::Route {
    let rule = wire::Rule {
        matches: route.matches.iter().map(|one| matched(one, key)).collect(),
        filters: Vec::new(),
        destinations: Vec::new(),
    };
    wire::Route {
        name: route.name.to_owned(),
        metadata: route.metadata.clone(),
        listeners: route.listeners.to_vec(),
        rules: vec![rule],
    }
}

fn matched(one: &ValidMatch<'_>, key: &Key) -> wire::Match {
    let paths = one.paths.iter().map(|(type_, pattern)| {
        let kind = match type_ {
            PathType::Prefix => wire::PathKind::Prefix,
            PathType::Exact => wire::PathKind::Exact,
        };
        wire::PathMatch { kind: kind.into(), pattern: (*pattern).to_owned() }
    });
    wire::Match {
        hostnames: one.hostnames.clone(),
        paths: paths.collect(),
        methods: one.methods.iter().map(|method| (*method).to_owned()).collect(),
        headers: conditions(&one.headers),
        query: conditions(&one.query),
        cookies: conditions(&one.cookies),
        precedence: precedence::of(one, key),
    }
}

pub(super) fn conditions(conditions: &[ValidCondition<'_>]) -> Vec<wire::Condition> {
    let condition = |condition: &ValidCondition<'_>| wire::Condition {
        name: condition.name.clone().into_owned(),
        kind: condition.kind.into(),
        value: condition.value.to_owned(),
    };
    conditions.iter().map(condition).collect()
}
