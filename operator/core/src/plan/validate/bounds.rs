//! The maxima of the custom resources, for objects that no API server has checked: those of files and of the admin API.
//! Together they bound what one object can cost the leader and each worker.

use std::collections::BTreeMap;

use crds::bounds::{
    MAX_CLIENT_CIDRS, MAX_CONDITION_NAME, MAX_CUSTOM_TIMEOUTS, MAX_DESCRIPTION, MAX_DISPLAY_NAME,
    MAX_LISTENERS, MAX_MATCHES, MAX_METADATA, MAX_METADATA_KEY, MAX_METADATA_VALUE, MAX_METHODS, MAX_PATTERN,
    MAX_PER_MATCH, MAX_PER_PREDICATE, MAX_PLACE, MAX_REGEX_CHECKS, MAX_ROUTE_BACKENDS, MAX_STATUSES, MAX_TAG,
    MAX_TAGS, MAX_TARGET_ID, MAX_TARGETS, MAX_WEIGHT,
};
use crds::{BackendSpec, Condition, HealthCheck, Predicate, RouteMatch, RouteSpec, Target};

use crate::plan::findings::{Field, Findings};

/// Pairs of host and path of a whole route: workers keep an entry for each, and refuse a route with more.
pub(in crate::plan) const MAX_PAIRS: usize = 4096;

pub(super) fn backend(spec: &BackendSpec, at: &Field<'_>, findings: &mut Findings) {
    described(spec.display_name.as_deref(), spec.description.as_deref(), at, findings);
    labelled(&spec.tags, &spec.metadata, at, findings);
    length(&spec.root, MAX_PATTERN, &at.name("root"), findings);
    let at_balancing = at.name("loadBalancing");
    let names = [
        ("headerName", &spec.load_balancing.header_name),
        ("cookieName", &spec.load_balancing.cookie_name),
        ("queryName", &spec.load_balancing.query_name),
    ];
    for (field, name) in names {
        length(name.as_deref().unwrap_or_default(), MAX_CONDITION_NAME, &at_balancing.name(field), findings);
    }
    let at_targets = at.name("targets");
    count(spec.targets.len(), MAX_TARGETS, &at_targets, findings);
    for (index, one) in spec.targets.iter().enumerate() {
        target(one, &at_targets.index(index), findings);
    }
    if let Some(check) = &spec.health_check {
        health_check(check, &at.name("healthCheck"), findings);
    }
    let at_client = at.name("client");
    let at_custom = at_client.name("customTimeouts");
    count(spec.client.custom_timeouts.len(), MAX_CUSTOM_TIMEOUTS, &at_custom, findings);
    for (index, custom) in spec.client.custom_timeouts.iter().enumerate() {
        length(&custom.path, MAX_PATTERN, &at_custom.index(index).name("path"), findings);
    }
}

fn health_check(spec: &HealthCheck, at: &Field<'_>, findings: &mut Findings) {
    count(spec.healthy_statuses.len(), MAX_STATUSES, &at.name("healthyStatuses"), findings);
    count(spec.unhealthy_statuses.len(), MAX_STATUSES, &at.name("unhealthyStatuses"), findings);
    for (name, patterns) in [
        ("healthyRegexChecks", &spec.healthy_regex_checks),
        ("unhealthyRegexChecks", &spec.unhealthy_regex_checks),
    ] {
        let at = at.name(name);
        count(patterns.len(), MAX_REGEX_CHECKS, &at, findings);
        for (index, pattern) in patterns.iter().enumerate() {
            length(pattern, MAX_PATTERN, &at.index(index), findings);
        }
    }
}

fn target(spec: &Target, at: &Field<'_>, findings: &mut Findings) {
    length(spec.id.as_deref().unwrap_or_default(), MAX_TARGET_ID, &at.name("id"), findings);
    weight(spec.weight, &at.name("weight"), findings);
    predicate(&spec.predicate, &at.name("predicate"), findings);
}

fn predicate(spec: &Predicate, at: &Field<'_>, findings: &mut Findings) {
    let places = [
        ("provider", &spec.provider),
        ("region", &spec.region),
        ("zone", &spec.zone),
        ("dataCenter", &spec.data_center),
        ("rack", &spec.rack),
    ];
    for (name, place) in places {
        length(place.as_deref().unwrap_or_default(), MAX_PLACE, &at.name(name), findings);
    }
    count(spec.methods.len(), MAX_METHODS, &at.name("methods"), findings);
    conditions(&spec.headers, MAX_PER_PREDICATE, &at.name("headers"), findings);
    conditions(&spec.query, MAX_PER_PREDICATE, &at.name("query"), findings);
    conditions(&spec.cookies, MAX_PER_PREDICATE, &at.name("cookies"), findings);
    count(spec.client_cidrs.len(), MAX_CLIENT_CIDRS, &at.name("clientCidrs"), findings);
}

pub(super) fn route(spec: &RouteSpec, at: &Field<'_>, findings: &mut Findings) {
    described(spec.display_name.as_deref(), spec.description.as_deref(), at, findings);
    labelled(&spec.tags, &spec.metadata, at, findings);
    count(spec.listeners.len(), MAX_LISTENERS, &at.name("listeners"), findings);
    let at_matches = at.name("matches");
    count(spec.matches.len(), MAX_MATCHES, &at_matches, findings);
    for (index, one) in spec.matches.iter().enumerate() {
        one_match(one, &at_matches.index(index), findings);
    }
    let pairs = pairs(spec);
    if pairs > MAX_PAIRS {
        let message =
            format!("has {pairs} pairs of host name and path: split the route to have at most {MAX_PAIRS}");
        findings.invalid(&at_matches, message);
    }
    let at_backends = at.name("backends");
    count(spec.backends.len(), MAX_ROUTE_BACKENDS, &at_backends, findings);
    for (index, backend) in spec.backends.iter().enumerate() {
        weight(backend.weight, &at_backends.index(index).name("weight"), findings);
    }
}

fn pairs(spec: &RouteSpec) -> usize {
    let of_match = |one: &RouteMatch| one.hostnames.len().max(1).saturating_mul(one.paths.len().max(1));
    spec.matches.iter().map(of_match).fold(0, usize::saturating_add)
}

fn one_match(spec: &RouteMatch, at: &Field<'_>, findings: &mut Findings) {
    count(spec.hostnames.len(), MAX_PER_MATCH, &at.name("hostnames"), findings);
    count(spec.methods.len(), MAX_METHODS, &at.name("methods"), findings);
    let at_paths = at.name("paths");
    count(spec.paths.len(), MAX_PER_MATCH, &at_paths, findings);
    for (index, path) in spec.paths.iter().enumerate() {
        length(&path.value, MAX_PATTERN, &at_paths.index(index).name("value"), findings);
    }
    conditions(&spec.headers, MAX_PER_MATCH, &at.name("headers"), findings);
    conditions(&spec.query, MAX_PER_MATCH, &at.name("query"), findings);
    conditions(&spec.cookies, MAX_PER_MATCH, &at.name("cookies"), findings);
}

fn conditions(specs: &[Condition], most: u32, at: &Field<'_>, findings: &mut Findings) {
    count(specs.len(), most, at, findings);
    for (index, spec) in specs.iter().enumerate() {
        let at = at.index(index);
        length(&spec.name, MAX_CONDITION_NAME, &at.name("name"), findings);
        length(spec.value.as_deref().unwrap_or_default(), MAX_PATTERN, &at.name("value"), findings);
    }
}

fn described(name: Option<&str>, description: Option<&str>, at: &Field<'_>, findings: &mut Findings) {
    length(name.unwrap_or_default(), MAX_DISPLAY_NAME, &at.name("displayName"), findings);
    length(description.unwrap_or_default(), MAX_DESCRIPTION, &at.name("description"), findings);
}

fn labelled(tags: &[String], metadata: &BTreeMap<String, String>, at: &Field<'_>, findings: &mut Findings) {
    let at_tags = at.name("tags");
    count(tags.len(), MAX_TAGS, &at_tags, findings);
    for (index, tag) in tags.iter().enumerate() {
        length(tag, MAX_TAG, &at_tags.index(index), findings);
    }
    let at = at.name("metadata");
    count(metadata.len(), MAX_METADATA, &at, findings);
    for (key, value) in metadata {
        length(key, MAX_METADATA_KEY, &at, findings);
        length(value, MAX_METADATA_VALUE, &at, findings);
    }
}

fn weight(weight: u32, at: &Field<'_>, findings: &mut Findings) {
    if weight > MAX_WEIGHT {
        findings.invalid(at, format!("{weight} is too much: write 0 to {MAX_WEIGHT}"));
    }
}

pub(super) fn number(value: u32, min: u32, max: u32, at: &Field<'_>, findings: &mut Findings) {
    if value < min || value > max {
        findings.invalid(at, format!("{value} isn't possible: write {min} to {max}"));
    }
}

pub(super) fn count(entries: usize, most: u32, at: &Field<'_>, findings: &mut Findings) {
    if fits(entries, most) {
        return;
    }
    findings.invalid(at, format!("has {entries} entries: write at most {most}"));
}

/// In characters, as the API server counts.
pub(super) fn length(text: &str, most: u32, at: &Field<'_>, findings: &mut Findings) {
    if fits(text.len(), most) || fits(text.chars().count(), most) {
        return;
    }
    findings.invalid(at, format!("has {} characters: write at most {most}", text.chars().count()));
}

pub(super) fn fits(count: usize, most: u32) -> bool {
    u32::try_from(count).is_ok_and(|count| count <= most)
}
