use dataplane_snapshot::wire::{Filter, FilterSettings, Payload, Route, Target};
use dataplane_snapshot::{Key, Kind, Object};

/// The keys of the objects that this one is no good without, each as often as it is named. What can't be read names none.
pub(super) fn references(object: &Object) -> Vec<Key> {
    let key = object.key();
    match object.decode() {
        Ok(Payload::Listener(listener)) => {
            let tls = listener.tls.iter();
            keys(
                Kind::Certificate,
                tls.flat_map(|tls| tls.certificates.iter().chain(&tls.client_authorities)),
            )
        }
        Ok(Payload::Route(route)) => of_route(&route),
        Ok(Payload::Backend(backend)) => {
            let proxy = backend.client.iter().filter_map(|client| client.proxy.as_ref());
            let mut keys = keys(Kind::Secret, proxy.map(|proxy| &proxy.password));
            keys.push(key.with_kind(Kind::Endpoints));
            keys
        }
        Ok(Payload::Endpoints(endpoints)) => endpoints.targets.iter().flat_map(of_target).collect(),
        Ok(Payload::Certificate(_)) => vec![key.with_kind(Kind::Secret)],
        Ok(Payload::Held(held)) => held.route.as_ref().map(of_route).unwrap_or_default(),
        Ok(Payload::Secret(_)) | Err(_) => Vec::new(),
    }
}

pub(super) fn is_held(object: &Object) -> bool {
    matches!(object.decode(), Ok(Payload::Held(_)))
}

fn of_route(route: &Route) -> Vec<Key> {
    let rules = || route.rules.iter();
    let destinations = || rules().flat_map(|rule| &rule.destinations);
    let filters = rules().flat_map(|rule| &rule.filters);
    let filters = filters.chain(destinations().flat_map(|destination| &destination.filters));
    let backends = destinations().map(|destination| &destination.backend);
    keys(Kind::Backend, backends.chain(filters.filter_map(mirror)))
}

fn mirror(filter: &Filter) -> Option<&String> {
    match &filter.settings {
        Some(FilterSettings::Mirror(mirror)) => Some(&mirror.backend),
        _ => None,
    }
}

fn of_target(target: &Target) -> Vec<Key> {
    keys(
        Kind::Certificate,
        target.tls.iter().flat_map(|tls| tls.client_certificates.iter().chain(&tls.trusted)),
    )
}

/// Only those of the kind that is meant: so no object leads to itself.
fn keys<'t>(kind: Kind, texts: impl Iterator<Item = &'t String>) -> Vec<Key> {
    texts.filter_map(|text| text.parse().ok()).filter(|key: &Key| key.kind() == kind).collect()
}
